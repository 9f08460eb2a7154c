#include "finer/core/quote.h"

#include <catch2/catch.hpp>

#include <string>

TEST_CASE("quote keeps plain text and escapes what could break a line", "[core]") {
  CHECK(finer::quote("model.layers.0") == "\"model.layers.0\"");
  CHECK(finer::quote("a\nb\"c\\d\x1b[2J\xff") == "\"a\\nb\\\"c\\\\d\\x1b[2J\\xff\"");
}

TEST_CASE("quote cuts long text in the middle", "[core]") {
  CHECK(finer::quote("0123456789", 4) == "\"01...89\"");
  CHECK(finer::quote(std::string(100000, 'x')).size() == 165);
}
