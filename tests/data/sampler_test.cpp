#include "data/sampler.h"

#include "finer/core/error.h"
#include "tests/data/scratch.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <map>
#include <set>
#include <utility>

namespace finer::data {

namespace {

using Pairs = std::vector<std::pair<int, int>>;

Pairs take(Sampler sampler, int64_t from, int64_t count) {
  Pairs pairs;
  for (int64_t position = from; position < from + count; ++position) {
    const SampleRef ref = sampler.at(position);
    pairs.emplace_back(ref.set, static_cast<int>(ref.index));
  }
  return pairs;
}

Pairs sorted(Pairs pairs) {
  std::sort(pairs.begin(), pairs.end());
  return pairs;
}

}  // namespace

TEST_CASE("without shuffle the order is the files', weights and all, every epoch", "[data]") {
  const Sampler sampler({4, 2, 3}, {0.5, 2, 1.5}, 0, false);
  CHECK(sampler.epoch_size() == 2 + 4 + 5);
  const Pairs epoch = {{0, 0}, {0, 1}, {1, 0}, {1, 1}, {1, 0}, {1, 1},
                       {2, 0}, {2, 1}, {2, 2}, {2, 0}, {2, 1}};
  CHECK(take(sampler, 0, 11) == epoch);
  CHECK(take(sampler, 11, 11) == epoch);
}

TEST_CASE("a shuffled epoch holds whole sets floor(weight) times, and shares without doubles",
          "[data]") {
  const Sampler sampler({400, 20, 30}, {0.5, 2, 1.5}, 3, true);
  REQUIRE(sampler.epoch_size() == 200 + 40 + 45);
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    std::map<std::pair<int, int>, int> count;
    for (const auto& pair : take(sampler, epoch * 285, 285)) ++count[pair];
    std::map<std::pair<int, int>, int> sets;  // (set, times a sample is seen) -> samples
    for (const auto& [pair, times] : count) ++sets[{pair.first, times}];
    const std::map<std::pair<int, int>, int> expected = {
        {{0, 1}, 200}, {{1, 2}, 20}, {{2, 1}, 15}, {{2, 2}, 15}};
    CHECK(sets == expected);
  }
}

TEST_CASE("epochs differ in order and in their shares; seeds differ; the same seed repeats",
          "[data]") {
  const Sampler sampler({100, 10}, {0.5, 1}, 1, true);
  const Pairs first = take(sampler, 0, 60), second = take(sampler, 60, 60);
  CHECK(first != second);
  CHECK(sorted(first) != sorted(second));
  CHECK(take(Sampler({100, 10}, {0.5, 1}, 1, true), 0, 60) == first);
  CHECK(take(Sampler({100, 10}, {0.5, 1}, 2, true), 0, 60) != first);
}

TEST_CASE("over many epochs a share sees all samples about equally often", "[data]") {
  Sampler sampler({50}, {0.2}, 9, true);
  std::vector<int> seen(50, 0);
  for (int64_t position = 0; position < 10 * 1000; ++position)
    ++seen[static_cast<size_t>(sampler.at(position).index)];
  // 1000 draws with chance 0.2: mean 200, deviation 12.6; five deviations.
  CHECK(*std::min_element(seen.begin(), seen.end()) > 200 - 64);
  CHECK(*std::max_element(seen.begin(), seen.end()) < 200 + 64);
}

TEST_CASE("any position is reached directly", "[data]") {
  const std::vector<int64_t> sizes = {7, 5};
  const std::vector<double> weights = {1.5, 0.4};
  Sampler walking(sizes, weights, 5, true);
  const int64_t span = 4 * walking.epoch_size();
  const Pairs all = take(walking, 0, span);
  for (int64_t position = span; position-- > 0;) {
    Sampler jumping(sizes, weights, 5, true);
    const SampleRef ref = jumping.at(position);
    CHECK(std::make_pair(static_cast<int>(ref.set), static_cast<int>(ref.index)) ==
          all[static_cast<size_t>(position)]);
    const SampleRef back = walking.at(position);
    CHECK(back.index == ref.index);
  }
}

TEST_CASE("samples of a group are drawn together, and none is lost or doubled by it", "[data]") {
  // set 0: groups of 3, 1, 2, 1, the first and the third among each other; set 1: none
  const std::vector<std::vector<int64_t>> groups = {{0, 1, 2, 0, 0, 2, 3}, {}};
  Sampler sampler({7, 4}, {2.0, 1.0}, 11, true, groups);
  REQUIRE(sampler.epoch_size() == 18);
  Pairs first;
  for (int64_t epoch = 0; epoch < 5; ++epoch) {
    const Pairs order = take(sampler, epoch * 18, 18);
    std::map<std::pair<int, int>, int> count;
    for (size_t i = 0; i < order.size(); ++i) {
      ++count[order[i]];
      if (order[i] == std::make_pair(0, 0)) {
        REQUIRE(i + 2 < order.size());
        CHECK(order[i + 1] == std::make_pair(0, 3));
        CHECK(order[i + 2] == std::make_pair(0, 4));
      }
      if (order[i] == std::make_pair(0, 5)) CHECK(order[i - 1] == std::make_pair(0, 2));
    }
    CHECK(count.size() == 11);
    for (const auto& [pair, times] : count) CHECK(times == (pair.first == 0 ? 2 : 1));
    CHECK((epoch == 0 || order != first));
    if (epoch == 0) first = order;
  }
  CHECK(sampler.same_group({0, 0}, {0, 4}));
  CHECK_FALSE(sampler.same_group({0, 0}, {0, 1}));
  CHECK_FALSE(sampler.same_group({0, 0}, {1, 0}));
  CHECK_FALSE(sampler.same_group({1, 1}, {1, 2}));
  const Pairs in_file_order = take(Sampler({7, 4}, {1, 1}, 11, false, groups), 0, 5);
  CHECK(in_file_order == Pairs{{0, 0}, {0, 1}, {0, 2}, {0, 3}, {0, 4}});
}

TEST_CASE("a share of groups has the size of one of single samples; its last group is cut",
          "[data]") {
  std::vector<int64_t> groups;
  for (int64_t i = 0; i < 40; ++i) groups.push_back(i / 4);
  Sampler sampler({40}, {0.25}, 3, true, {groups});
  REQUIRE(sampler.epoch_size() == 10);
  std::vector<int> seen(40, 0);
  for (int64_t epoch = 0; epoch < 400; ++epoch) {
    std::map<int, int> sizes;  // group -> samples
    for (const auto& [set, index] : take(sampler, epoch * 10, 10)) {
      ++seen[static_cast<size_t>(index)];
      ++sizes[index / 4];
    }
    std::multiset<int> found;
    for (const auto& [group, size] : sizes) found.insert(size);
    CHECK(found == std::multiset<int>{2, 4, 4});
  }
  // 400 draws with chance 0.25: mean 100, deviation 8.7; five deviations.
  CHECK(*std::min_element(seen.begin(), seen.end()) > 100 - 43);
  CHECK(*std::max_element(seen.begin(), seen.end()) < 100 + 43);
}

TEST_CASE("a share smaller than any group sees all of a group's samples", "[data]") {
  std::vector<int64_t> groups;
  for (int64_t i = 0; i < 40; ++i) groups.push_back(i / 4);
  Sampler sampler({40}, {0.075}, 5, true, {groups});
  REQUIRE(sampler.epoch_size() == 3);
  std::vector<int> seen(4, 0);  // by place in its group
  for (int64_t position = 0; position < 3 * 400; ++position)
    ++seen[static_cast<size_t>(sampler.at(position).index % 4)];
  for (const int times : seen) CHECK(std::abs(times - 300) < 44);  // five deviations
}

// What a resumed run relies on: a change of these numbers breaks resuming older runs. They were
// worked out apart from this program, from the description in rng.h.
TEST_CASE("the order of a seed is fixed", "[data]") {
  const Sampler sampler({4, 3}, {0.5, 1}, 42, true);
  CHECK(take(sampler, 0, 5) == Pairs{{0, 3}, {1, 2}, {1, 0}, {1, 1}, {0, 2}});
  CHECK(take(sampler, 5, 5) == Pairs{{0, 1}, {1, 1}, {1, 0}, {0, 2}, {1, 2}});
}

TEST_CASE("weights that are no shares are refused by key", "[data]") {
  const auto refused = [](std::vector<int64_t> sizes, std::vector<double> weights) {
    return thrown<RecipeError>([&] { Sampler(sizes, weights, 0, true); });
  };
  CHECK_THAT(refused({1, 1}, {1, -0.5}), Catch::StartsWith("data.sets[1].weight: -0.5"));
  CHECK_THAT(refused({1}, {std::numeric_limits<double>::quiet_NaN()}),
             Catch::StartsWith("data.sets[0].weight: "));
  CHECK_THAT(refused({1}, {std::numeric_limits<double>::infinity()}),
             Catch::StartsWith("data.sets[0].weight: "));
  CHECK_THAT(refused({10}, {1e300}), Catch::Contains("more than 1e10 samples"));
  CHECK_THAT(refused({10}, {0}), Catch::StartsWith("data.sets: an epoch holds no sample"));
  CHECK_THAT(refused({}, {}), Catch::StartsWith("data.sets: an epoch holds no sample"));
  CHECK(Sampler({10, 3}, {0, 1}, 0, true).epoch_size() == 3);
}

}  // namespace finer::data
