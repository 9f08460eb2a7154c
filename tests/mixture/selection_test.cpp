#include "data/mixture/selection.h"

#include "finer/core/rng.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <numeric>

namespace finer::data {

TEST_CASE("quotas are even, and reach the cap where there is enough", "[selection]") {
  CHECK(even_quotas({5, 5, 5}, {3, 1, 2}, 7) == std::vector<int64_t>{2, 3, 2});
  CHECK(even_quotas({1, 9, 9}, {0, 2, 1}, 10) == std::vector<int64_t>{1, 4, 5});
  CHECK(even_quotas({2, 3}, {0, 0}, 100) == std::vector<int64_t>{2, 3});
  CHECK(even_quotas({2, 3}, {0, 0}, 0) == std::vector<int64_t>{2, 3});
  CHECK(even_quotas({4, 4, 4, 4}, {9, 8, 7, 6}, 2) == std::vector<int64_t>{0, 0, 1, 1});
  CHECK(even_quotas({}, {}, 5).empty());
  Rng rng(1);
  for (int round = 0; round < 500; ++round) {
    std::vector<int64_t> available(1 + rng.below(12));
    std::vector<uint64_t> ranks;
    for (auto& a : available) {
      a = static_cast<int64_t>(rng.below(20));
      ranks.push_back(rng.next());
    }
    const auto all = std::accumulate(available.begin(), available.end(), int64_t{0});
    const int64_t cap = 1 + static_cast<int64_t>(rng.below(100));
    const auto quotas = even_quotas(available, ranks, cap);
    CHECK(std::accumulate(quotas.begin(), quotas.end(), int64_t{0}) == std::min(all, cap));
    const auto most = *std::max_element(quotas.begin(), quotas.end());
    for (size_t i = 0; i < quotas.size(); ++i) {
      CHECK(quotas[i] <= available[i]);
      if (quotas[i] < available[i]) CHECK(quotas[i] >= most - 1);  // could have given more
    }
  }
}

TEST_CASE("a smaller cap takes a part of what a larger one takes", "[selection]") {
  Rng rng(2);
  std::vector<Candidate> candidates;
  std::vector<SelectionClass> classes(9);
  for (uint32_t c = 0; c < 9; ++c) classes[c] = {c / 3, rng.next()};
  for (int64_t i = 0; i < 300; ++i)
    candidates.push_back({static_cast<uint32_t>(rng.below(9)), rng.next(), i});
  const std::vector<uint64_t> groups = {rng.next(), rng.next(), rng.next()};
  std::vector<int64_t> larger;
  for (const auto& c : select_evenly(candidates, classes, groups, 300)) larger.push_back(c.ordinal);
  CHECK(larger.size() == 300);
  for (int64_t cap = 299; cap > 0; cap -= 23) {
    const auto taken = select_evenly(candidates, classes, groups, cap);
    CHECK(static_cast<int64_t>(taken.size()) == cap);
    CHECK(std::is_sorted(taken.begin(), taken.end(), [](const Candidate& a, const Candidate& b) {
      return a.ordinal < b.ordinal;
    }));
  }
}

}  // namespace finer::data
