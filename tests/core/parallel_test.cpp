#include "finer/core/parallel.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <stdexcept>
#include <vector>

TEST_CASE("a loop over threads makes every call once", "[core]") {
  for (const int64_t threads : {1, 3, 100}) {
    std::vector<std::atomic<int>> calls(50);
    finer::for_each_parallel(calls.size(), threads, [&](size_t i) { ++calls[i]; });
    for (const auto& count : calls) CHECK(count == 1);
  }
  finer::for_each_parallel(0, 4, [](size_t) { FAIL("nothing to call"); });
}

TEST_CASE("the first exception ends a loop over threads and reaches the caller", "[core]") {
  std::atomic<int> calls = 0;
  const auto body = [&](size_t i) {
    if (i == 3) throw std::runtime_error("three");
    ++calls;
  };
  CHECK_THROWS_WITH(finer::for_each_parallel(100000, 2, body), "three");
  CHECK(calls < 99999);
  CHECK_THROWS_WITH(finer::for_each_parallel(4, 1, body), "three");
}
