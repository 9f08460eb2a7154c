#include "finer/core/rng.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdint>
#include <set>
#include <vector>

TEST_CASE("Rng gives SplitMix64's published sequence", "[core]") {
  // The first five outputs for seed 1234567 in the list of expected values at
  // rosettacode.org/wiki/Pseudo-random_numbers/Splitmix64.
  finer::Rng rng(1234567);
  CHECK(rng.next() == 6457827717110365317ULL);
  CHECK(rng.next() == 3203168211198807973ULL);
  CHECK(rng.next() == 9817491932198370423ULL);
  CHECK(rng.next() == 4593380528125082431ULL);
  CHECK(rng.next() == 16408922859458223821ULL);
}

TEST_CASE("below stays under its bound and reaches every value about equally often", "[core]") {
  finer::Rng rng(7);
  std::vector<int> counts(6);
  for (int i = 0; i < 60000; ++i) ++counts.at(rng.below(6));
  for (const int count : counts) CHECK(std::abs(count - 10000) < 400);  // 4.4 standard deviations
  CHECK(rng.below(1) == 0);
}

TEST_CASE("below draws again where a plain remainder would be biased", "[core]") {
  // With this bound a plain remainder falls into the lowest third half of the time.
  finer::Rng rng(1);
  const uint64_t bound = 3ULL << 62;
  int low = 0;
  for (int i = 0; i < 30000; ++i) low += rng.below(bound) < bound / 3;
  CHECK(std::abs(low - 10000) < 400);
}

TEST_CASE("uniform is in [0, 1) with mean one half", "[core]") {
  finer::Rng rng(3);
  double sum = 0;
  for (int i = 0; i < 100000; ++i) {
    const double value = rng.uniform();
    REQUIRE(value >= 0);
    REQUIRE(value < 1);
    sum += value;
  }
  CHECK(sum / 100000 == Approx(0.5).margin(0.004));
}

TEST_CASE("permutation holds every number once and follows its seed", "[core]") {
  const auto order = finer::permutation(1000, 5);
  CHECK(std::set<int64_t>(order.begin(), order.end()).size() == 1000);
  CHECK(*std::min_element(order.begin(), order.end()) == 0);
  CHECK(*std::max_element(order.begin(), order.end()) == 999);
  CHECK(order == finer::permutation(1000, 5));
  CHECK(order != finer::permutation(1000, 6));
  CHECK(finer::permutation(0, 1).empty());
}

TEST_CASE("mix_seed tells its arguments apart, in order", "[core]") {
  std::set<uint64_t> seeds;
  for (uint64_t a = 0; a < 50; ++a) {
    for (uint64_t b = 0; b < 50; ++b) seeds.insert(finer::mix_seed(a, b));
  }
  CHECK(seeds.size() == 2500);
}

TEST_CASE("hash_bytes is 64-bit FNV-1a", "[core]") {
  // Test vectors of draft-eastlake-fnv: "", "a", "foobar".
  CHECK(finer::hash_bytes("") == 0xcbf29ce484222325ULL);
  CHECK(finer::hash_bytes("a") == 0xaf63dc4c8601ec8cULL);
  CHECK(finer::hash_bytes("foobar") == 0x85944171f73967e8ULL);
  CHECK(finer::hash_bytes("bar", finer::hash_bytes("foo")) == finer::hash_bytes("foobar"));
}
