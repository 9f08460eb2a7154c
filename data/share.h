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

}  // namespace finer::data
