#include "finer/core/near_miss.h"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

TEST_CASE("nearest finds a misspelt, swapped or cut word", "[core]") {
  const std::vector<std::string> words = {"q_proj", "k_proj", "gate_proj", "weight_decay"};
  CHECK(finer::nearest("qproj", words) == "q_proj");
  CHECK(finer::nearest("q_porj", words) == "q_proj");
  CHECK(finer::nearest("wieght_deacy", words) == "weight_decay");
  CHECK(finer::nearest("gate_proj", words) == "gate_proj");
}

TEST_CASE("nearest takes the first of equally near words", "[core]") {
  CHECK(finer::nearest("x_proj", {"q_proj", "k_proj"}) == "q_proj");
}

TEST_CASE("nearest finds nothing where nothing is near", "[core]") {
  CHECK(finer::nearest("embed_tokens", {"q_proj", "k_proj"}).empty());
  CHECK(finer::nearest("", {}).empty());
  CHECK(finer::nearest("abcdefghi", {"abcdefxyz"}) == "abcdefxyz");  // 3 of 9 letters
  CHECK(finer::nearest("abcdefghi", {"abcdewxyz"}).empty());         // 4 of 9
}

TEST_CASE("did_you_mean asks about the nearest, else lists all", "[core]") {
  CHECK(finer::did_you_mean("optin", {"optim", "model"}) == "; did you mean \"optim\"?");
  CHECK(finer::did_you_mean("something", {"optim", "model"}) == "; expected one of optim, model");
}
