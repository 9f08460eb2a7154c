#include "data/share.h"

#include "finer/core/error.h"

#include <algorithm>
#include <numeric>

namespace finer::data {

std::vector<std::vector<size_t>> share_by_tokens(const std::vector<int64_t>& lengths, int size) {
  FINER_CHECK(size > 0, "at least one rank");
  std::vector<std::vector<size_t>> shares(static_cast<size_t>(size));
  std::vector<int64_t> tokens(static_cast<size_t>(size), 0);
  std::vector<size_t> order(lengths.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return lengths[a] > lengths[b]; });
  size_t turn = 0;
  for (const size_t slot : order) {
    size_t rank = turn % shares.size();
    if (lengths[slot] > 0) {
      rank = static_cast<size_t>(std::min_element(tokens.begin(), tokens.end()) - tokens.begin());
    } else {
      ++turn;
    }
    tokens[rank] += lengths[slot];
    shares[rank].push_back(slot);
  }
  for (auto& share : shares) std::sort(share.begin(), share.end());
  return shares;
}

std::vector<std::vector<size_t>> share_groups(const std::vector<int64_t>& lengths,
                                              const std::vector<bool>& stays_with, int size) {
  std::vector<int64_t> group_lengths;
  std::vector<size_t> firsts;
  for (size_t slot = 0; slot < lengths.size(); ++slot) {
    if (!stays_with[slot]) {
      firsts.push_back(slot);
      group_lengths.push_back(0);
    }
    group_lengths.back() += lengths[slot];
  }
  firsts.push_back(lengths.size());
  std::vector<std::vector<size_t>> shares;
  for (const auto& groups : share_by_tokens(group_lengths, size)) {
    auto& slots = shares.emplace_back();
    for (const size_t group : groups) {
      for (size_t slot = firsts[group]; slot < firsts[group + 1]; ++slot) slots.push_back(slot);
    }
  }
  return shares;
}

}  // namespace finer::data
