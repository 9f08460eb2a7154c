#include "finer/core/config_io.h"

#include "finer/core/error.h"
#include "tests/core/temporary_folder.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <fstream>
#include <map>
#include <string>
#include <vector>

namespace shop {

struct Fruit {
  std::string name;
  double weight = 1;
};
struct Till {
  bool is_open = true;
  uint64_t serial = 0;
};
struct Shop {
  std::string owner = "nobody";
  int64_t rooms = 2;
  std::string colour = "red";
  std::vector<Fruit> fruits;
  std::vector<std::string> tags = {"a"};
  std::map<std::string, int64_t> prices;
  Till till;
  Till spare;
  bool has_spare = false;
};

void describe(finer::FieldVisitor& v, Fruit& c) {
  v.field("name", c.name, "what it is", finer::required(), finer::not_empty());
  v.field("weight", c.weight, "in kg", finer::above(0), finer::below(100));
}
void describe(finer::FieldVisitor& v, Till& c) {
  v.field("is_open", c.is_open, "whether it is open");
  v.field("serial", c.serial, "its number");
}
void describe(finer::FieldVisitor& v, Shop& c) {
  v.field("owner", c.owner, "who runs it");
  v.field("rooms", c.rooms, "how many", finer::between(1, 9));
  v.field("colour", c.colour, "of the door", finer::one_of("red", "green"));
  v.field("fruits", c.fruits, "what is sold", finer::not_empty());
  v.field("tags", c.tags, "words", finer::not_empty(), finer::distinct());
  v.field("prices", c.prices, "in cents", finer::at_least(0));
  v.field("till", c.till, "the till");
  v.optional_field("spare", c.spare, c.has_spare, "another till");
}

}  // namespace shop

namespace {

using Texts = std::vector<std::string>;

finer::Describe describer(shop::Shop& shop) {
  return [&shop](finer::FieldVisitor& v) { describe(v, shop); };
}

// Files in a folder of their own; messages show paths without it.
class ShopFiles {
 public:
  std::filesystem::path write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return folder_ / name;
  }

  shop::Shop load(const std::string& name, const Texts& overrides = {}) const {
    shop::Shop shop;
    auto document = finer::ConfigDocument::load(folder_ / name, overrides);
    document.read(describer(shop));
    document.throw_faults();
    return shop;
  }

  std::string message(const std::string& name, const Texts& overrides = {}) const {
    try {
      load(name, overrides);
    } catch (const finer::RecipeError& error) {
      std::string text = error.what();
      const std::string prefix = folder_.path().string() + "/";
      for (size_t at = 0; (at = text.find(prefix, at)) != std::string::npos;) {
        text.erase(at, prefix.size());
      }
      return text;
    }
    return "no error";
  }

 private:
  finer::TemporaryFolder folder_;
};

std::string message_of(const std::string& text, const Texts& overrides = {}) {
  ShopFiles files;
  files.write("f.yaml", text);
  return files.message("f.yaml", overrides);
}

shop::Shop shop_of(const std::string& text, const Texts& overrides = {}) {
  ShopFiles files;
  files.write("f.yaml", text);
  return files.load("f.yaml", overrides);
}

}  // namespace

TEST_CASE("every kind of value is read from YAML", "[core]") {
  const auto shop = shop_of(
      "owner: Ann of 'Apples'\n"
      "rooms: 3\n"
      "colour: green\n"
      "fruits:\n  - {name: fig, weight: 2e-1}\n  - name: \"7\"\n    weight: 3\n"
      "tags: [x, \"true\"]\n"
      "prices: {fig: 5, a.b: 0}\n"
      "till: {is_open: false, serial: 18446744073709551615}\n"
      "spare: {}\n");
  CHECK(shop.owner == "Ann of 'Apples'");
  CHECK(shop.rooms == 3);
  CHECK(shop.colour == "green");
  REQUIRE(shop.fruits.size() == 2);
  CHECK(shop.fruits[0].weight == 0.2);
  CHECK(shop.fruits[1].name == "7");
  CHECK(shop.fruits[1].weight == 3);
  CHECK(shop.tags == Texts{"x", "true"});
  CHECK(shop.prices == std::map<std::string, int64_t>{{"a.b", 0}, {"fig", 5}});
  CHECK_FALSE(shop.till.is_open);
  CHECK(shop.till.serial == 18446744073709551615u);
  CHECK(shop.has_spare);
}

TEST_CASE("absent keys keep their defaults", "[core]") {
  const auto shop = shop_of("rooms: 1\n");
  CHECK(shop.owner == "nobody");
  CHECK(shop.tags == Texts{"a"});
  CHECK_FALSE(shop.has_spare);
}

TEST_CASE("all faults are reported at once, in the order of lines", "[core]") {
  CHECK(message_of("rooms: 12\n"
                   "colur: red\n"
                   "till:\n"
                   "  is_open: yes\n"
                   "  rooms: 2\n"
                   "fruits:\n"
                   "  - weight: 0\n"
                   "  - {name: fig, wieght: 1}\n",
                   {"owner.x=1"}) ==
        "f.yaml:1: rooms: found 12; expected a whole number, between 1 and 9\n"
        "f.yaml:2: colur: unknown key; did you mean \"colour\"?\n"
        "f.yaml:4: till.is_open: found \"yes\"; expected true or false\n"
        "f.yaml:5: till.rooms: unknown key; did you mean \"rooms\"?\n"
        "f.yaml:7: fruits[0].name: missing; expected text, not empty (what it is)\n"
        "f.yaml:7: fruits[0].weight: found 0; expected a number, above 0 and below 100\n"
        "f.yaml:8: fruits[1].wieght: unknown key; did you mean \"weight\"?\n"
        "command line: owner: found a mapping; expected text");
}

TEST_CASE("a wrong type says what was found and what was expected", "[core]") {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"rooms: four", "rooms: found \"four\"; expected a whole number, between 1 and 9"},
      {"rooms: 1.0", "rooms: found 1.0; expected a whole number, between 1 and 9"},
      {"rooms: 1e0", "rooms: found 1e0; expected a whole number, between 1 and 9"},
      {"rooms: 010", "rooms: found 010; expected a whole number, between 1 and 9"},
      {"rooms: true", "rooms: found true; expected a whole number, between 1 and 9"},
      {"rooms: \"4\"",
       "rooms: found \"4\"; expected a whole number, between 1 and 9 (without quotes)"},
      {"rooms: 99999999999999999999",
       "rooms: found 99999999999999999999; expected a whole number, between 1 and 9 "
       "(it does not fit into 64 bits)"},
      {"rooms: [1]", "rooms: found a list; expected a whole number, between 1 and 9"},
      {"rooms: {a: 1}", "rooms: found a mapping; expected a whole number, between 1 and 9"},
      {"rooms:",
       "rooms: found null, and no base file to take a value back from; expected a whole number, "
       "between 1 and 9, or the key left out"},
      {"owner: ~",
       "owner: found null, and no base file to take a value back from; expected text, or the key "
       "left out"},
      {"owner: 5", "owner: found 5; expected text (in quotes)"},
      {"owner: true", "owner: found true; expected text (in quotes)"},
      {"owner: \"a\\tb\"",
       "owner: found \"a\\x09b\"; expected text in one line, without control characters"},
      {"colour: rde", "colour: found \"rde\"; expected one of red, green; did you mean \"red\"?"},
      {"colour: turquoise", "colour: found \"turquoise\"; expected one of red, green"},
      {"colour: 5", "colour: found 5; expected one of red, green"},
      {"till: {is_open: True}", "till.is_open: found \"True\"; expected true or false"},
      {"till: {is_open: 1}", "till.is_open: found 1; expected true or false"},
      {"till: {serial: -1}",
       "till.serial: found -1; expected a whole number from 0 to 2^64 - 1 (it does not fit into 64 "
       "bits)"},
      {"till: open", "till: found \"open\"; expected a mapping"},
      {"till: []", "till: found a list; expected a mapping"},
      {"spare: 5", "spare: found 5; expected a mapping"},
      {"fruits: {}", "fruits: found a mapping; expected a list"},
      {"fruits: []", "fruits: found an empty list; expected at least one item"},
      {"fruits: [fig]", "fruits[0]: found \"fig\"; expected a mapping"},
      {"fruits: [{name: \"\"}]", "fruits[0].name: found \"\"; expected text, not empty"},
      {"fruits: [{name: a, weight: .inf}]",
       "fruits[0].weight: found \".inf\"; expected a number, above 0 and below 100"},
      {"fruits: [{name: a, weight: .nan}]",
       "fruits[0].weight: found \".nan\"; expected a number, above 0 and below 100"},
      {"fruits: [{name: a, weight: 100}]",
       "fruits[0].weight: found 100; expected a number, above 0 and below 100"},
      {"fruits: [{name: a, weight: 1e999}]",
       "fruits[0].weight: found 1e999; expected a number, above 0 and below 100 (it does not fit "
       "into 64 bits)"},
      {"tags: x", "tags: found \"x\"; expected a list"},
      {"tags: [x, 5]", "tags[1]: found 5; expected text, not empty (in quotes)"},
      {"tags: [x, y, x]", "tags[2]: found \"x\" a second time; expected it once"},
      {"tags: [\"\"]", "tags[0]: found \"\"; expected text, not empty"},
      {"prices: [5]", "prices: found a list; expected a mapping"},
      {"prices: {a.b: -1}", "prices.\"a.b\": found -1; expected a whole number, at least 0"},
  };
  for (const auto& [yaml, expected] : cases) {
    CHECK(message_of(yaml + "\n") == "f.yaml:1: " + expected);
  }
}

TEST_CASE("an unknown key gets the nearest one, or all there are", "[core]") {
  CHECK(message_of("till: {is_opn: true}\n") ==
        "f.yaml:1: till.is_opn: unknown key; did you mean \"is_open\"?");
  CHECK(message_of("till: {something_else: true}\n") ==
        "f.yaml:1: till.something_else: unknown key; expected one of is_open, serial");
  CHECK(message_of("is_open: true\n") ==
        "f.yaml:1: is_open: unknown key; did you mean \"till.is_open\" or \"spare.is_open\"?");
  CHECK(message_of("\"o\\nx\": 1\n") ==
        "f.yaml:1: \"o\\nx\": unknown key; expected one of owner, rooms, colour, fruits, tags, "
        "prices, till, spare");
}

TEST_CASE("what YAML has and recipes have not is refused with its line", "[core]") {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"rooms: &r 2",
       "f.yaml:1: rooms: found an anchor (&name); recipes have none: use base: to share values"},
      {"tags: [&t a]\nowner: *t",
       "f.yaml:1: tags[0]: found an anchor (&name); recipes have none: use base: to share values\n"
       "f.yaml:2: owner: found an alias (*name); recipes have none: write the value out"},
      {"owner: *t", "f.yaml:1: found an alias (*name); recipes have none: write the value out"},
      {"rooms: !!int 2",
       "f.yaml:1: rooms: found the tag \"tag:yaml.org,2002:int\"; recipes have no tags: leave it "
       "out"},
      {"till: !python/object {is_open: true}",
       "f.yaml:1: till: found the tag \"!python/object\"; recipes have no tags: leave it out"},
      {"rooms: 2\nowner: a\nrooms: 3", "f.yaml:3: rooms: found a key that line 1 already has"},
      {"till: {serial: 1, serial: 1}",
       "f.yaml:1: till.serial: found a key that line 1 already has"},
      {"till:\n  <<: {serial: 1}",
       "f.yaml:2: till: found a merge key (<<); recipes have none: use base: to share values"},
      {"[a]: 1", "f.yaml:1: found a key that is no text; expected key: value"},
      {"{a: 1}: 1", "f.yaml:1: found a key that is no text; expected key: value"},
      {"~: 1", "f.yaml:1: found a key that is no text; expected key: value"},
      {"rooms: 2\n---\nrooms: 3", "f.yaml:2: found a second document; expected one"},
      {"rooms: 2\n  owner: x", "f.yaml:2: not readable as YAML: illegal map value"},
      {"owner: \"\\\xc3\xa9\"", "f.yaml:1: not readable as YAML: unknown escape character: ?"},
      {"- rooms", "f.yaml:1: found no mapping; expected key: value lines"},
      {"rooms", "f.yaml:1: found no mapping; expected key: value lines"},
      {"# nothing", "f.yaml:1: found no keys; expected key: value lines"},
      {"", "f.yaml:1: found no keys; expected key: value lines"},
      {"rooms: 2\nowner: \xff\xfe",
       "f.yaml:2: found bytes that are not UTF-8; expected a text file in UTF-8"},
      {"rooms: 2\nowner: \x01",
       "f.yaml:2: found the control character \"\\x01\"; expected plain text"},
  };
  for (const auto& [yaml, expected] : cases) CHECK(message_of(yaml) == expected);
}

TEST_CASE("deep nesting and huge files are refused, not followed", "[core]") {
  CHECK_THAT(message_of("tags: " + std::string(100000, '[')),
             Catch::StartsWith("f.yaml:1: not readable as YAML: "));
  CHECK(message_of(std::string((1 << 20) + 1, '#')) ==
        "f.yaml:1: has 1048577 bytes; expected a YAML file of at most 1 MiB");
  std::string many;
  for (int i = 0; i < 2002; ++i) many += "k" + std::to_string(i) + ": 1\n";
  const std::string message = message_of(many);
  CHECK_THAT(message, Catch::EndsWith("... and 1952 more"));
  CHECK(std::count(message.begin(), message.end(), '\n') == 50);
}

TEST_CASE("a file that is not there is one line", "[core]") {
  const ShopFiles files;
  CHECK(files.message("none.yaml") == "none.yaml:1: is not there; expected a YAML file");
  CHECK(files.message("../") == "../:1: is no regular file; expected a YAML file");
}

TEST_CASE("a base file is inherited key by key, lists and values are replaced", "[core]") {
  ShopFiles files;
  files.write("base/root.yaml",
              "owner: Ann\nrooms: 5\ntags: [x, y]\ntill: {is_open: false, serial: 4}\n"
              "prices: {fig: 1, kiwi: 2}\nspare: {serial: 9}\n");
  files.write("base/middle.yaml", "base: root.yaml\nrooms: 6\ntill: {serial: 5}\n");
  files.write("leaf/f.yaml",
              "base: ../base/middle.yaml\ntags: [z]\nprices: {kiwi: null, plum: 3}\n"
              "owner: null\nspare:\n");
  const auto shop = files.load("leaf/f.yaml");
  CHECK(shop.owner == "nobody");
  CHECK(shop.rooms == 6);
  CHECK(shop.tags == Texts{"z"});
  CHECK_FALSE(shop.till.is_open);
  CHECK(shop.till.serial == 5);
  CHECK(shop.prices == std::map<std::string, int64_t>{{"fig", 1}, {"plum", 3}});
  CHECK_FALSE(shop.has_spare);
}

TEST_CASE("a fault of an inherited file names that file", "[core]") {
  ShopFiles files;
  files.write("base.yaml", "owner: Ann\nrooms: 50\nroms: 1\n");
  files.write("f.yaml", "base: base.yaml\ncolour: blue\n");
  CHECK(files.message("f.yaml") ==
        "f.yaml:2: colour: found \"blue\"; expected one of red, green\n"
        "base.yaml:2: rooms: found 50; expected a whole number, between 1 and 9\n"
        "base.yaml:3: roms: unknown key; did you mean \"rooms\"?");
  files.write("g.yaml", "base: base.yaml\nrooms: 5\n");
  CHECK(files.message("g.yaml") == "base.yaml:3: roms: unknown key; did you mean \"rooms\"?");
}

TEST_CASE("base: must lead to one readable file, and not in a circle", "[core]") {
  ShopFiles files;
  const std::string circle = "; expected a file that does not lead back here";
  files.write("a.yaml", "rooms: 2\nbase: b.yaml\n");
  files.write("b.yaml", "base: sub/../a.yaml\n");
  files.write("sub/x.yaml", "");
  CHECK(files.message("a.yaml") ==
        "b.yaml:1: base: found \"a.yaml\", which inherits from this file again" + circle);
  files.write("self.yaml", "base: self.yaml\n");
  CHECK(files.message("self.yaml") ==
        "self.yaml:1: base: found \"self.yaml\", which inherits from this file again" + circle);
  files.write("lost.yaml", "rooms: 2\nbase: nowhere.yaml\ncolur: red\n");
  CHECK(files.message("lost.yaml") ==
        "lost.yaml:2: base: found \"nowhere.yaml\", which is not there; expected a YAML file\n"
        "lost.yaml:3: colur: unknown key; did you mean \"colour\"?");
  for (const char* value : {"[a.yaml, b.yaml]", "", "\"\"", "{a: b}", "\"a\\0b\""}) {
    files.write("odd.yaml", std::string("base: ") + value + "\n");
    CHECK(files.message("odd.yaml") ==
          "odd.yaml:1: base: found no path; expected one file to inherit from");
  }
  for (int i = 0; i < 9; ++i) {
    files.write("d" + std::to_string(i) + ".yaml", "base: d" + std::to_string(i + 1) + ".yaml\n");
  }
  CHECK(files.message("d0.yaml") ==
        "d7.yaml:1: base: found \"d8.yaml\", which is inherited file number 8; expected at most 7");
}

TEST_CASE("overrides reach keys, list items and whole sections", "[core]") {
  const std::string yaml = "rooms: 5\nfruits: [{name: fig}, {name: kiwi}]\nprices: {fig: 1}\n";
  const auto shop =
      shop_of(yaml, {"rooms=6", "fruits.1.weight=2.5e0", "fruits[0].name=plum", "tags=[q, r]",
                     "till={serial: 3}", "till.is_open=false", "prices.\"a.b=c\"=4", "owner=2024"});
  CHECK(shop.rooms == 6);
  CHECK(shop.fruits[0].name == "plum");
  CHECK(shop.fruits[1].name == "kiwi");
  CHECK(shop.fruits[1].weight == 2.5);
  CHECK(shop.tags == Texts{"q", "r"});
  CHECK(shop.till.serial == 3);
  CHECK_FALSE(shop.till.is_open);
  CHECK(shop.prices == std::map<std::string, int64_t>{{"a.b=c", 4}, {"fig", 1}});
  CHECK(shop.owner == "2024");
  CHECK(shop_of(yaml, {"owner=a: b #c, 'd'=e"}).owner == "a: b #c, 'd'=e");
  CHECK(shop_of(yaml, {"owner=\"it's \\\"x\\\"\""}).owner == "it's \"x\"");
  CHECK(shop_of(yaml, {"rooms=null"}).rooms == 2);
  CHECK(shop_of(yaml, {"rooms="}).rooms == 2);
  CHECK(shop_of(yaml, {"fruits=[{name: a}]"}).fruits.size() == 1);
}

TEST_CASE("a faulty override says so as the command line's", "[core]") {
  const std::string yaml = "base: b.yaml\nrooms: 5\nfruits: [{name: fig}]\n";
  ShopFiles files;
  files.write("b.yaml", "owner: Ann\n");
  files.write("f.yaml", yaml);
  const std::string form = "; expected key=value, such as optim.lr=1e-4";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"rooms=0", "rooms: found 0; expected a whole number, between 1 and 9"},
      {"romms=3", "romms: unknown key; did you mean \"rooms\"?"},
      {"fruits.0.wieght=3", "fruits[0].wieght: unknown key; did you mean \"weight\"?"},
      {"rooms", "found \"rooms\"" + form},
      {"=3", "found \"=3\"" + form},
      {"rooms.=3", "found \"rooms.=3\"" + form},
      {"a..b=3", "found \"a..b=3\"" + form},
      {"a[=3", "found \"a[=3\"" + form},
      {"a\"=3", "found \"a\\\"=3\"" + form},
      {"fruits.1.name=x", "fruits.1.name: found item \"1\"; expected a number from 0 to 0"},
      {"fruits.x=3", "fruits.x: found item \"x\"; expected a number from 0 to 0"},
      {"fruits.0=null",
       "fruits.0: found null; expected a value, or the whole list: no item can be taken away"},
      {"rooms.x=3", "rooms.x: found a key below rooms; expected none: that is a single value"},
      {"tags=[a", "tags: not readable as YAML: end of sequence flow not found"},
      {"tags=[a, *b]", "tags: found an alias (*name); recipes have none: write the value out"},
      {"tags=[!x a]", "tags: found the tag \"!x\"; recipes have no tags: leave it out"},
      {"till={serial: 1, serial: 2}", "till: found a key that line 1 already has"},
      {"base=c.yaml", "base: found on the command line; expected only in a file"},
      {"owner=a\nb",
       "owner: found \"a\\nb\"; expected text in one line, without control characters"},
      {"till=null",
       "till: found null, and no base file to take a value back from; expected a mapping, or the "
       "key "
       "left out"},
  };
  for (const auto& [text, expected] : cases) {
    CHECK(files.message("f.yaml", {text}) == "command line: " + expected);
  }
  CHECK(files.message("f.yaml", {"rooms=3", "rooms=4"}) ==
        "command line: rooms: found twice; expected it once");
}

TEST_CASE("what is written reads back the same", "[core]") {
  shop::Shop shop;
  shop.owner = "a \"b\" \\ \xc3\xa9: #x, [";
  shop.rooms = 9;
  shop.fruits = {{"null", 0.1}, {"5", 1.0 / 3.0}};
  shop.tags = {"true", "x y", "- z"};
  shop.prices = {{"a.b", 1}, {"", 2}, {"true", 3}};
  shop.till = {false, 18446744073709551615u};
  shop.has_spare = true;
  const std::string text = finer::write_config(describer(shop));
  CHECK(text ==
        "owner: \"a \\\"b\\\" \\\\ \xc3\xa9: #x, [\"\n"
        "rooms: 9\n"
        "colour: red\n"
        "fruits:\n"
        "  - name: \"null\"\n"
        "    weight: 0.1\n"
        "  - name: \"5\"\n"
        "    weight: 0.3333333333333333\n"
        "tags: [\"true\", \"x y\", \"- z\"]\n"
        "prices: {\"\": 2, a.b: 1, \"true\": 3}\n"
        "till:\n"
        "  is_open: false\n"
        "  serial: 18446744073709551615\n"
        "spare:\n"
        "  is_open: true\n"
        "  serial: 0\n");
  auto again = shop_of(text);
  CHECK(finer::write_config(describer(again)) == text);
  CHECK(again.owner == shop.owner);
  CHECK(again.fruits[1].weight == shop.fruits[1].weight);
}

TEST_CASE("documentation lists every key with type, default and range", "[core]") {
  shop::Shop shop;
  std::string text;
  for (const auto& key : finer::explain_config(describer(shop))) {
    text += key.path + " | " + key.type + " | " + key.default_value + " | " + key.range + "\n";
  }
  CHECK(text ==
        "owner | text | nobody | \n"
        "rooms | whole number | 2 | between 1 and 9\n"
        "colour | text | red | one of red, green\n"
        "fruits | list of sections | [] | not empty\n"
        "fruits[].name | text | required | not empty\n"
        "fruits[].weight | number | 1.0 | above 0 and below 100\n"
        "tags | list of text | [a] | not empty and nothing twice\n"
        "prices | mapping of text to whole number | {} | at least 0\n"
        "till | section |  | \n"
        "till.is_open | true or false | true | \n"
        "till.serial | whole number from 0 to 2^64 - 1 | 0 | \n"
        "spare | section |  | \n"
        "spare.is_open | true or false | true | \n"
        "spare.serial | whole number from 0 to 2^64 - 1 | 0 | \n");
}

TEST_CASE("the document tells own keys from inherited ones, and where they stand", "[core]") {
  ShopFiles files;
  files.write("b.yaml", "owner: Ann\ntill: {serial: 1}\nspare: {serial: 1}\n");
  const auto file = files.write("f.yaml", "base: b.yaml\nrooms: 5\ntill: {is_open: true}\n");
  shop::Shop shop;
  auto document = finer::ConfigDocument::load(file, {"colour=green"});
  document.read(describer(shop));
  CHECK(document.has("owner"));
  CHECK_FALSE(document.is_own("owner"));
  CHECK(document.is_own("rooms"));
  CHECK(document.is_own("colour"));
  CHECK(document.is_own("till"));
  CHECK_FALSE(document.is_own("till.serial"));
  CHECK_FALSE(document.is_own("spare"));
  CHECK_FALSE(document.has("tags"));
  CHECK(document.where("colour") == "command line");
  CHECK(document.where("rooms") == file.string() + ":2");
  CHECK(document.where("tags") == "its default");
  CHECK(document.is_sound("rooms"));
  document.add_fault("till.serial", "is odd");
  CHECK_FALSE(document.is_sound("till"));
  CHECK_FALSE(document.is_sound("till.serial"));
  CHECK(document.is_sound("till.is_open"));
  CHECK(document.is_sound("til"));
}
