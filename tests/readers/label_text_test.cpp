#include "data/readers/label_text.h"

#include "tests/readers/set_folder.h"

#include <catch2/catch.hpp>

using finer::data::Labels;
using finer::data::split_at_commas;
using finer::data::split_names;
using finer::data::without_suffix;

TEST_CASE("\"and\" parts names as a word only", "[labels]") {
  CHECK(split_names("Sandpipers and Allies") == Labels{"Sandpipers", "Allies"});
  CHECK(split_names("Sandpipers") == Labels{"Sandpipers"});
  CHECK(split_names("Band-rumped Storm-Petrels, Sandgrouse") ==
        Labels{"Band-rumped Storm-Petrels", "Sandgrouse"});
  CHECK(split_names("Ducks, Geese, and Swans") == Labels{"Ducks", "Geese", "Swans"});
  CHECK(split_names("Old World Sparrows") == Labels{"Old World Sparrows"});
  CHECK(split_names("A and B and C") == Labels{"A", "B", "C"});
  CHECK(split_names(" and , x,, and x ") == Labels{"x"});
  CHECK(split_names("") == Labels{});
  CHECK(split_at_commas("Tit and Mouse, Bird , Bird") == Labels{"Tit and Mouse", "Bird"});
}

TEST_CASE("only brackets at the end are a suffix", "[labels]") {
  CHECK(without_suffix("Common Eider (Adult male)") == "Common Eider");
  CHECK(without_suffix("Red-tailed Hawk (Light morph (adult)) ") == "Red-tailed Hawk");
  CHECK(without_suffix("Brant (Atlantic) Goose") == "Brant (Atlantic) Goose");
  CHECK(without_suffix("Eider (a) (b)") == "Eider (a)");
  CHECK(without_suffix("(Adult)") == "(Adult)");
  CHECK(without_suffix("Odd)") == "Odd)");
  CHECK(without_suffix("") == "");
}
