#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace finer::data {

/// Deals a step's samples out to ranks so that each has about the same number of tokens: the
/// longest first, each to the rank that has the fewest so far. The same lengths give the same
/// shares on every rank. Samples of 0 tokens (dropped, or broken) go around in turn, so that one
/// rank counts each.
///
/// returns  for each rank the numbers of its samples, ascending; a rank may have none
std::vector<std::vector<size_t>> share_by_tokens(const std::vector<int64_t>& lengths, int size);

/// The same for samples some of which stay with the one before them: both go to one rank.
///
/// lengths     tokens that each sample adds to its group's work
/// stays_with  whether a sample stays with the one before it; as many as lengths, the first one
/// false
std::vector<std::vector<size_t>> share_groups(const std::vector<int64_t>& lengths,
                                              const std::vector<bool>& stays_with, int size);

}  // namespace finer::data
