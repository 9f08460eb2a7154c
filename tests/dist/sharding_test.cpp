#include "finer/dist/sharding.h"

#include <catch2/catch.hpp>

namespace finer::dist {
namespace {

TEST_CASE("shares follow each other, cover everything and differ by one at most", "[dist]") {
  for (const int64_t count : {0, 1, 7, 64, 1001}) {
    for (const int size : {1, 2, 3, 8, 64}) {
      int64_t at = 0;
      for (int rank = 0; rank < size; ++rank) {
        const auto share = share_of(count, rank, size);
        CHECK(share.begin == at);
        const int64_t length = share.end - share.begin;
        CHECK((length == count / size || length == count / size + 1));
        at = share.end;
      }
      CHECK(at == count);
    }
  }
}

}  // namespace
}  // namespace finer::dist
