#include "data/world/concepts.h"

#include "data/world/names.h"
#include "finer/core/error.h"

#include <catch2/catch.hpp>

#include <set>

namespace finer::data {

TEST_CASE("combinations of a coarse group differ in two slots, names in two letters", "[world]") {
  for (const uint64_t seed : {0, 1, 2}) {
    const auto concepts = draw_concepts(seed, 15, 3);
    REQUIRE(concepts.size() == 135);
    int64_t held_out = 0;
    for (size_t i = 0; i < concepts.size(); ++i) {
      held_out += concepts[i].is_held_out;
      CHECK(concepts[i].id == static_cast<int64_t>(i));
      for (size_t j = 0; j < i; ++j) {
        CHECK(letters_apart(concepts[i].name, concepts[j].name) >= 2);
        if (concepts[i].kind != concepts[j].kind) continue;
        CHECK(slots_apart(concepts[i].values, concepts[j].values) >= 2);
      }
    }
    CHECK(held_out == 27);
  }
}

TEST_CASE("names are three syllables and a consonant, and mean nothing", "[world]") {
  const std::string vowels = "aeiou";
  for (const auto& species : draw_concepts(7, 60, 20)) {
    REQUIRE(species.name.size() == 7);
    for (size_t i = 0; i < 7; ++i) {
      CHECK((vowels.find(species.name[i]) != vowels.npos) == (i % 2 == 1));
    }
    CHECK_FALSE(is_avoided_name(species.name));
  }
  CHECK(is_avoided_name("minimal"));
  CHECK(is_avoided_name("manazil"));
  CHECK_FALSE(is_avoided_name("pezodus"));
}

TEST_CASE("another attempt gives other names to the same combinations", "[world]") {
  const auto first = draw_concepts(0, 15, 3, 0), second = draw_concepts(0, 15, 3, 1);
  for (size_t i = 0; i < first.size(); ++i) {
    CHECK(first[i].values == second[i].values);
    CHECK(first[i].name != second[i].name);
  }
}

TEST_CASE("specimens never show a held-out combination", "[world]") {
  // All combinations of one group but a few are held out: without rejection nearly every one falls
  // into them.
  HeldOut held_out;
  const auto& kinds = coarse_kinds();
  for (size_t kind = 0; kind < kinds.size(); ++kind) {
    Combination values{};
    for (values[0] = 0; values[0] < 5; ++values[0]) {
      for (values[1] = 0; values[1] < 4; ++values[1]) {
        for (values[2] = 0; values[2] < 6; ++values[2]) {
          for (values[3] = 0; values[3] < 6; ++values[3]) {
            for (values[4] = 0; values[4] < 6; ++values[4]) held_out.emplace(kind, values);
          }
        }
      }
    }
  }
  Rng rng(3);
  std::set<size_t> groups;
  for (int i = 0; i < 300; ++i) {
    const auto specimen = draw_specimen(held_out, rng);
    CHECK(specimen.values[0] == 5);
    groups.insert(specimen.kind);
  }
  CHECK(groups.size() == kinds.size());
}

TEST_CASE("numbers of concepts that make no world are refused", "[world]") {
  CHECK_THROWS_WITH(draw_concepts(0, 1, 1), Catch::Contains("expected 2 to 100"));
  CHECK_THROWS_WITH(draw_concepts(0, 5, 5), Catch::Contains("expected 1 to 4"));
  CHECK_THROWS_AS(draw_concepts(0, 5, 0), DataError);
  CHECK(draw_concepts(0, 100, 99).size() == 900);
}

TEST_CASE("attributes read value then part", "[world]") {
  const auto& owl = coarse_kinds()[0];
  CHECK(joined(attribute_phrases(owl, {0, 1, 3, 1, 2})) ==
        "red body, striped body, blue wing, yellow beak, green tail");
}

}  // namespace finer::data
