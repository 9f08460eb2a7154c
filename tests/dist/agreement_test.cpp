#include "finer/dist/agreement.h"

#include <catch2/catch.hpp>

namespace finer::dist {
namespace {

TEST_CASE("the first difference of two ranks is named", "[dist]") {
  const std::vector<Fact> first = {{"finer version", "1 (a)"},
                                   {"recipe", "optim: lr: 1\nseed: 3\n"}};
  CHECK(difference(first, first).empty());
  CHECK(difference(first, {{"finer version", "1 (b)"}, first[1]}) ==
        "finer version: it has \"1 (b)\", rank 0 \"1 (a)\"");
  CHECK(difference(first, {first[0], {"recipe", "optim: lr: 1\nseed: 4\n"}}) ==
        "recipe: it has \"seed: 4\", rank 0 \"seed: 3\"");
  CHECK(difference(first, {first[0], {"recipe", "optim: lr: 1\n"}}) ==
        "recipe: it has nothing, rank 0 \"seed: 3\"");
  CHECK(difference(first, {first[0]}) == "another kind of finer is running there");
}

}  // namespace
}  // namespace finer::dist
