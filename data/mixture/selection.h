#pragma once

#include <cstdint>
#include <vector>

namespace finer::data {

/// How many each group gives so that they give `cap` together as evenly as what they have allows:
/// no group gives more than one above another that still has some. The ones left over go to the
/// groups with the lowest ranks. cap 0: all.
std::vector<int64_t> even_quotas(const std::vector<int64_t>& available,
                                 const std::vector<uint64_t>& ranks, int64_t cap);

/// A record that could be taken.
struct Candidate {
  uint32_t class_index = 0;
  uint64_t rank = 0;    // drawn from the record itself: the lowest of a class are taken first
  int64_t ordinal = 0;  // its place in the file
};

/// What a set's classes are to the selection.
struct SelectionClass {
  uint32_t group = 0;  // classes of one group share its part of the cap
  uint64_t rank = 0;
};

/// Takes at most `cap` candidates, evenly over groups and, within each, evenly over classes.
/// A smaller cap takes a part of what a larger one takes of each class; another class changes
/// which of the others' candidates are taken only by changing their number.
/// group_ranks: one a group. Returns them in the order of the file.
std::vector<Candidate> select_evenly(std::vector<Candidate> candidates,
                                     const std::vector<SelectionClass>& classes,
                                     const std::vector<uint64_t>& group_ranks, int64_t cap);

}  // namespace finer::data
