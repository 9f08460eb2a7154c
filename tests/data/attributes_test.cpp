#include "data/attributes.h"

#include "finer/core/error.h"
#include "tests/data/scratch.h"

namespace finer::data {

namespace {

using Catch::Matchers::Contains;

std::string fault_of(const std::string& text) {
  const Scratch scratch;
  const auto file = scratch.write("a.json", text);
  return thrown<DataError>([&] { AttributeTable::load({file}); });
}

}  // namespace

TEST_CASE("labels are compared without case, punctuation and possessives", "[attributes]") {
  CHECK(normalised_label("Brewer's Blackbird") == "brewer blackbird");
  CHECK(normalised_label("Brewer\xe2\x80\x99s Blackbird") == "brewer blackbird");
  CHECK(normalised_label("Chuck-will's-widow") == "chuck will widow");
  CHECK(normalised_label("  Black_footed  Albatross ") == "black footed albatross");
  CHECK(normalised_label("F/A-18") == "f a 18");
  CHECK(normalised_label("O'Hara") == "o hara");
  CHECK(normalised_label("'s") == "s");
  CHECK(normalised_label("Ni\xc3\xb1o") == "ni\xc3\xb1o");
  CHECK(normalised_label("...") == "");
}

TEST_CASE("both forms of attribute files are read", "[attributes]") {
  const Scratch scratch;
  const auto nested = scratch.write("nested.json", R"([
    {"id": 7, "name": "Blue Jay",
     "attr_binomial": {"required": ["blue crest", " ", "white face "], "likely": ["black collar"]}}])");
  const auto flat = scratch.write("flat.json", R"([
    {"id": "x", "fine": ["Danaus plexippus", "Monarch"], "required": ["orange wings"], "likely": []}])");
  const auto table = AttributeTable::load({nested, flat});
  REQUIRE(table.concepts().size() == 2);

  const auto* jay = table.find({"no such bird", "blue-jay"});
  REQUIRE(jay != nullptr);
  CHECK(jay->id == "7");
  CHECK(jay->required == std::vector<std::string>{"blue crest", "white face"});
  CHECK(jay->likely == std::vector<std::string>{"black collar"});
  const auto* monarch = table.find({"Monarch"});
  REQUIRE(monarch != nullptr);
  CHECK(monarch == table.find({"danaus plexippus"}));
  CHECK(monarch->name == "Danaus plexippus");
  CHECK(table.find({"Green Jay"}) == nullptr);
  CHECK(table.find({}) == nullptr);
}

TEST_CASE("a name that two concepts share finds neither", "[attributes]") {
  const Scratch scratch;
  const auto file = scratch.write("a.json", R"([
    {"fine": ["Genus one", "Clubtail"], "required": ["green eyes"]},
    {"fine": ["Genus two", "Clubtail"], "required": ["blue eyes"]},
    {"name": "Genus two", "required": ["blue eyes"]}])");
  const auto table = AttributeTable::load({file});
  CHECK(table.find({"Clubtail"}) == nullptr);
  CHECK(table.ambiguous_names() == std::vector<std::string>{"Clubtail"});
  REQUIRE(table.find({"Clubtail", "Genus two"}) != nullptr);
  CHECK(table.find({"Clubtail", "Genus two"})->required.front() == "blue eyes");
}

TEST_CASE("a broken attribute file is named with its entry", "[attributes]") {
  CHECK_THAT(fault_of("[{]"), Contains("a.json: is not valid JSON at byte 3"));
  CHECK_THAT(fault_of("{}"), Contains("a.json: is an object; expected a list of entries"));
  CHECK_THAT(fault_of("[7]"), Contains("a.json: entry 0: is a number; expected an object"));
  CHECK_THAT(fault_of(R"([{"name": "A", "required": []}, {"required": ["x"]}])"),
             Contains("entry 1: has no name"));
  CHECK_THAT(fault_of(R"([{"name": "A"}])"), Contains("entry 0: has no attributes"));
  CHECK_THAT(fault_of(R"([{"name": "A", "attr_binomial": []}])"),
             Contains("attr_binomial is an array; expected an object"));
  CHECK_THAT(fault_of(R"([{"name": "A", "attr_binomial": {"required": "x"}}])"),
             Contains("attr_binomial.required is a string; expected a list of texts"));
  CHECK_THAT(fault_of(R"([{"name": "A", "required": ["x", 3]}])"),
             Contains("required[1] is a number; expected text"));
  CHECK_THAT(thrown<DataError>([] { AttributeTable::load({"no/such.json"}); }),
             Contains("no/such.json: cannot be opened: No such file"));
}

}  // namespace finer::data
