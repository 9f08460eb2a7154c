#include "data/share.h"

#include "finer/core/rng.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <set>

namespace finer::data {
namespace {

TEST_CASE("samples are dealt out once each, and ranks get equal numbers of tokens", "[data]") {
  Rng rng(7);
  std::vector<int64_t> lengths;
  for (int i = 0; i < 128; ++i) lengths.push_back(30 + static_cast<int64_t>(rng.below(700)));
  for (const int size : {1, 2, 3, 8}) {
    const auto shares = share_by_tokens(lengths, size);
    REQUIRE(shares.size() == static_cast<size_t>(size));
    std::set<size_t> seen;
    std::vector<int64_t> tokens;
    for (const auto& share : shares) {
      CHECK(std::is_sorted(share.begin(), share.end()));
      seen.insert(share.begin(), share.end());
      tokens.push_back(0);
      for (const size_t slot : share) tokens.back() += lengths[slot];
    }
    CHECK(seen.size() == lengths.size());
    const auto [least, most] = std::minmax_element(tokens.begin(), tokens.end());
    CHECK(static_cast<double>(*most - *least) < 0.02 * static_cast<double>(*most));
  }
}

TEST_CASE("ranks without a sample have an empty share, and dropped samples go around", "[data]") {
  const auto few = share_by_tokens({5, 9}, 4);
  CHECK(few[0] == std::vector<size_t>{1});
  CHECK(few[1] == std::vector<size_t>{0});
  CHECK(few[2].empty());
  CHECK(few[3].empty());
  const auto dropped = share_by_tokens({0, 0, 0, 0}, 2);
  CHECK(dropped[0] == std::vector<size_t>{0, 2});
  CHECK(dropped[1] == std::vector<size_t>{1, 3});
}

TEST_CASE("samples that stay together go to one rank, and their tokens count together", "[data]") {
  const auto shares = share_groups({5, 4, 9, 1, 1, 7}, {false, true, false, true, true, false}, 2);
  CHECK(shares[0] == std::vector<size_t>{2, 3, 4});  // 11 tokens
  CHECK(shares[1] == std::vector<size_t>{0, 1, 5});  // 9, and 7 to the rank that has fewer
  CHECK(share_groups({4, 4, 4, 1}, {false, false, false, false}, 2) ==
        share_by_tokens({4, 4, 4, 1}, 2));
  CHECK(share_groups({}, {}, 2) == share_by_tokens({}, 2));
}

TEST_CASE("the same lengths give the same shares", "[data]") {
  CHECK(share_by_tokens({4, 4, 4, 1}, 2) == share_by_tokens({4, 4, 4, 1}, 2));
  CHECK(share_by_tokens({4, 4, 4, 1}, 2)[0] == std::vector<size_t>{0, 2});
}

}  // namespace
}  // namespace finer::data
