#include "data/mixture/selection.h"

#include "finer/core/error.h"

#include <algorithm>
#include <numeric>

namespace finer::data {

std::vector<int64_t> even_quotas(const std::vector<int64_t>& available,
                                 const std::vector<uint64_t>& ranks, int64_t cap) {
  FINER_CHECK(available.size() == ranks.size(), "a rank for each group");
  if (cap == 0) return available;
  // Groups from the smallest: each gets an even part of what is left, or all it has.
  std::vector<size_t> order(available.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    if (available[a] != available[b]) return available[a] < available[b];
    return ranks[a] != ranks[b] ? ranks[a] > ranks[b] : a < b;
  });
  std::vector<int64_t> quotas(available.size(), 0);
  int64_t left = cap;
  size_t at = 0;
  for (; at < order.size(); ++at) {
    const auto groups = static_cast<int64_t>(order.size() - at);
    if (available[order[at]] > left / groups) break;
    quotas[order[at]] = available[order[at]];
    left -= available[order[at]];
  }
  if (at == order.size()) return quotas;
  // The others have more than the even part each.
  std::vector<size_t> larger(order.begin() + static_cast<int64_t>(at), order.end());
  std::sort(larger.begin(), larger.end(),
            [&](size_t a, size_t b) { return ranks[a] != ranks[b] ? ranks[a] < ranks[b] : a < b; });
  const auto count = static_cast<int64_t>(larger.size());
  for (int64_t i = 0; i < count; ++i) {
    quotas[larger[static_cast<size_t>(i)]] = left / count + (i < left % count ? 1 : 0);
  }
  return quotas;
}

std::vector<Candidate> select_evenly(std::vector<Candidate> candidates,
                                     const std::vector<SelectionClass>& classes,
                                     const std::vector<uint64_t>& group_ranks, int64_t cap) {
  std::vector<int64_t> in_class(classes.size(), 0), in_group(group_ranks.size(), 0);
  for (const auto& candidate : candidates) {
    ++in_class.at(candidate.class_index);
    ++in_group.at(classes[candidate.class_index].group);
  }
  const auto group_quotas = even_quotas(in_group, group_ranks, cap);

  std::vector<std::vector<uint32_t>> members(group_ranks.size());
  for (uint32_t c = 0; c < classes.size(); ++c) members[classes[c].group].push_back(c);
  std::vector<int64_t> class_quotas(classes.size(), 0);
  for (size_t group = 0; group < members.size(); ++group) {
    if (group_quotas[group] == 0) continue;  // to even_quotas, 0 means all
    std::vector<int64_t> available;
    std::vector<uint64_t> ranks;
    for (const uint32_t c : members[group]) {
      available.push_back(in_class[c]);
      ranks.push_back(classes[c].rank);
    }
    const auto quotas = even_quotas(available, ranks, group_quotas[group]);
    for (size_t i = 0; i < quotas.size(); ++i) class_quotas[members[group][i]] = quotas[i];
  }

  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    if (a.class_index != b.class_index) return a.class_index < b.class_index;
    return a.rank != b.rank ? a.rank < b.rank : a.ordinal < b.ordinal;
  });
  std::vector<Candidate> taken;
  for (const auto& candidate : candidates) {
    if (class_quotas[candidate.class_index]-- > 0) taken.push_back(candidate);
  }
  std::sort(taken.begin(), taken.end(),
            [](const Candidate& a, const Candidate& b) { return a.ordinal < b.ordinal; });
  return taken;
}

}  // namespace finer::data
