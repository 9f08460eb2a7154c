#include "finer/text/span_cache.h"

#include <catch2/catch.hpp>

#include <memory>
#include <string>
#include <vector>

using finer::SpanCache;
using finer::TokenPlace;

namespace {

SpanCache::Tokens token(int64_t id) {
  return std::make_shared<std::vector<TokenPlace>>(std::vector<TokenPlace>{{id, 0}});
}

}  // namespace

TEST_CASE("a span cache gives back what was kept, of short texts", "[text]") {
  SpanCache cache;
  const std::string longest(SpanCache::kMostBytes, 'a'), too_long = longest + "a";
  CHECK(cache.find("a") == nullptr);
  cache.keep("a", token(1));
  cache.keep(longest, token(2));
  cache.keep(too_long, token(3));
  REQUIRE(cache.find("a") != nullptr);
  CHECK(cache.find("a")->front().id == 1);
  REQUIRE(cache.find(longest) != nullptr);
  CHECK(cache.find(longest)->front().id == 2);
  CHECK(cache.find(too_long) == nullptr);
}

TEST_CASE("a full span cache begins anew and leaves what was handed out alone", "[text]") {
  SpanCache cache;
  for (size_t i = 0; i < SpanCache::kMostTexts; ++i)
    cache.keep(std::to_string(i), token(static_cast<int64_t>(i)));
  const auto held = cache.find("7");
  REQUIRE(held != nullptr);
  cache.keep("one more", token(-1));
  CHECK(cache.find("7") == nullptr);
  CHECK(cache.find("one more")->front().id == -1);
  CHECK(held->front().id == 7);
}
