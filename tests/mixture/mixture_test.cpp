#include "data/mixture/mixture.h"

#include "data/dataset.h"
#include "finer/core/error.h"
#include "finer/core/sha256.h"
#include "tests/mixture/small_sets.h"

#include <algorithm>
#include <set>

namespace finer::data {

namespace {

using Catch::Matchers::Contains;

// How many samples each class has in the output.
std::map<std::string, int> class_counts(const std::filesystem::path& file) {
  std::map<std::string, int> counts;
  for (const auto& [id, sample] : samples_of(file)) ++counts[class_of_image(*sample.image)];
  return counts;
}

std::string fault_of(const MixtureConfig& config) {
  const std::string fault = thrown<DataError>([&] { mix(config); });
  CHECK_FALSE(std::filesystem::exists(config.output));
  return fault;
}

}  // namespace

TEST_CASE("a set gives as many pictures as the cap or all it has, evenly over its classes",
          "[mixture]") {
  const Scratch scratch;
  auto config = small_mixture(
      scratch, {small_set(scratch, "large", 7, 10), small_set(scratch, "small", 3, 4)});
  config.cap = 45;
  const auto summary = mix(config);
  REQUIRE(summary.sets.size() == 2);
  CHECK(summary.sets[0].samples == 45);
  CHECK(summary.sets[1].samples == 12);
  CHECK(summary.samples == 57);
  const auto counts = class_counts(config.output);
  CHECK(counts.size() == 10);
  for (const auto& [name, count] : counts) {
    if (name.rfind("large", 0) == 0) CHECK((count == 6 || count == 7));
    if (name.rfind("small", 0) == 0) CHECK(count == 4);
  }
  config.cap = 0;
  CHECK(mix(config).samples == 82);
}

TEST_CASE("iNaturalist's cap is spread over supercategories", "[mixture]") {
  const Scratch scratch;
  std::vector<SmallClass> classes;
  std::vector<std::string> names;
  for (int i = 0; i < 12; ++i) {
    names.push_back("Species " + std::to_string(i));
    classes.push_back({{names.back()}, 5, {"Family"}, i < 10 ? "Insects" : "Birds"});
  }
  MixtureSet set;
  set.key = "inaturalist";
  set.records = write_set(scratch, set.key, classes);
  set.attributes = {write_attributes(scratch, set.key, names)};
  auto config = small_mixture(scratch, {set});
  config.cap = 20;
  mix(config);
  const auto counts = class_counts(config.output);
  CHECK(counts.at("Species 10") == 5);  // the two birds: 10 of 20
  CHECK(counts.at("Species 11") == 5);
  for (int i = 0; i < 10; ++i) CHECK(counts.at("Species " + std::to_string(i)) == 1);
}

TEST_CASE("attr-seek asks for the kind, the attributes and the name", "[mixture]") {
  const Scratch scratch;
  auto config = small_mixture(scratch, {small_set(scratch, "cub", 5)});
  mix(config);
  int before = 0;
  for (const auto& [id, sample] : samples_of(config.output)) {
    INFO(id);
    REQUIRE(sample.turns.size() == 6);
    const std::string name = class_of_image(*sample.image);
    CHECK(sample.turns[1].value.find(name) == std::string::npos);
    const bool is_jay = sample.turns[1].value.find("Jays") != std::string::npos;
    CHECK_THAT(sample.turns[1].value, Contains(is_jay ? "Jays" : "Crows"));
    CHECK_THAT(sample.turns[2].value, Contains(is_jay ? "Jays" : "Crows"));
    CHECK_THAT(sample.turns[3].value, Contains("red " + name + ", long tail"));
    CHECK_THAT(sample.turns[5].value, Contains(name));
    before += sample.turns[0].value.rfind("<image>\n", 0) == 0;
  }
  CHECK(before > 4);
  CHECK(before < 16);
}

TEST_CASE("every kind has its rounds", "[mixture]") {
  const Scratch scratch;
  auto config = small_mixture(scratch, {small_set(scratch, "cub", 3)});
  const auto turns = [&](const std::string& kind) {
    config.kind = kind;
    mix(config);
    return samples_of(config.output).begin()->second.turns;
  };
  CHECK(turns("direct").size() == 2);
  CHECK(turns("no-answer").size() == 4);
  const auto first = turns("name-first");
  REQUIRE(first.size() == 6);
  CHECK_THAT(first[3].value, Contains("cub 0"));
  CHECK_THAT(first[5].value, Contains("red cub 0, long tail"));
}

TEST_CASE("the name's question repeats the attributes where the wordings say so", "[mixture]") {
  const Scratch scratch;
  auto config = small_mixture(scratch, {small_set(scratch, "mini", 4)});
  config.templates = scratch
                         .write("mini.yaml", R"(
superordinate: {questions: ["What is in this picture?"], answers: ["{superordinate}"]}
coarse: {questions: ["What kind of {superordinate} is it?"], answers: ["{coarse}"]}
attributes: {questions: ["What visual attributes does it have?"], answers: ["{attributes}"]}
fine: {questions: ["What is the exact name of this {superordinate}?"], answers: ["{fine}"]}
fine_after_attributes:
  questions: ["It has {attributes}. What is the exact name of this {coarse}?"]
  answers: ["{fine}"]
)")
                         .string();
  config.kind = "custom";
  config.rounds = {{"superordinate", 0.5}, {"coarse"}, {"attributes"}, {"fine"}};
  config.repeats = 10;
  config.image_mark = "before";
  CHECK(mix(config).samples == 160);
  int with_superordinate = 0;
  for (const auto& [id, sample] : samples_of(config.output)) {
    const auto& turns = sample.turns;
    const size_t n = turns.size();
    with_superordinate += n == 8;
    REQUIRE((n == 6 || n == 8));
    CHECK(turns[0].value.rfind("<image>\n", 0) == 0);
    CHECK(turns[n - 2].value == "It has " + turns[n - 3].value +
                                    ". What is the exact name of this " + turns[n - 5].value + "?");
  }
  CHECK(with_superordinate > 50);
  CHECK(with_superordinate < 110);

  config.rounds = {{"superordinate"}, {"coarse"}, {"fine"}};
  config.shuffle_rounds = true;
  mix(config);
  std::set<std::string> first_answers;
  for (const auto& [id, sample] : samples_of(config.output)) {
    CHECK(sample.turns.size() == 6);
    first_answers.insert(sample.turns[1].value == "Bird"               ? "super"
                         : sample.turns[1].value.rfind("mini", 0) == 0 ? "fine"
                                                                       : "coarse");
  }
  CHECK(first_answers.size() == 3);
}

TEST_CASE("attributes are told in the detail that was asked for", "[mixture]") {
  const Scratch scratch;
  auto config = small_mixture(scratch, {small_set(scratch, "cub", 1, 1)});
  const auto told = [&](const std::string& detail) {
    config.attribute_detail = detail;
    mix(config);
    return samples_of(config.output).begin()->second.turns[3].value;
  };
  CHECK_THAT(told("required"), Contains("red cub 0, long tail") && !Contains("crest"));
  CHECK_THAT(told("required+likely"), Contains("red cub 0, long tail, a crest"));
  CHECK_THAT(told("first-1"), Contains("red cub 0") && !Contains("long tail"));
  CHECK_THAT(told("first-3"), Contains("long tail, a crest"));
}

TEST_CASE("the same seed writes the same bytes, whatever the order of the sets", "[mixture]") {
  const Scratch scratch;
  auto config = small_mixture(scratch, {small_set(scratch, "a", 5), small_set(scratch, "b", 4),
                                        small_set(scratch, "c", 3)});
  config.cap = 9;
  mix(config);
  const std::string bytes = bytes_of(config.output);
  const std::string manifest = bytes_of(scratch.root() / "out.manifest.json");
  mix(config);
  CHECK(bytes_of(config.output) == bytes);
  CHECK(bytes_of(scratch.root() / "out.manifest.json") == manifest);
  std::reverse(config.sets.begin(), config.sets.end());
  mix(config);
  CHECK(bytes_of(config.output) == bytes);
  config.seed = 8;
  mix(config);
  CHECK(bytes_of(config.output) != bytes);
}

TEST_CASE("one more class, picture or set changes no other class's samples", "[mixture]") {
  const Scratch scratch;
  auto config = small_mixture(scratch, {small_set(scratch, "cub", 4)});
  mix(config);
  const auto before = lines_of(config.output);

  // A class at the front moves every idx; a picture more in class 2; another set.
  std::vector<SmallClass> classes = {{{"cub new"}, 3}};
  for (int i = 0; i < 4; ++i) classes.push_back({{"cub " + std::to_string(i)}, i == 2 ? 5 : 4});
  config.sets[0].records = write_set(scratch, "cub", classes);
  config.sets[0].attributes = {
      write_attributes(scratch, "cub", {"cub new", "cub 0", "cub 1", "cub 2", "cub 3"})};
  config.sets.push_back(small_set(scratch, "other", 2));
  mix(config);
  const auto after = lines_of(config.output);
  CHECK(after.size() == before.size() + 3 + 1 + 8);
  for (const auto& line : before) CHECK(std::count(after.begin(), after.end(), line) == 1);

  // With a cap, each class gives a part of what it gave.
  config.cap = 10;
  mix(config);
  const auto capped = lines_of(config.output);
  for (const auto& line : capped) CHECK(std::count(after.begin(), after.end(), line) == 1);
}

TEST_CASE("kinds draw the same pictures and the same labels", "[mixture]") {
  const Scratch scratch;
  auto config = small_mixture(scratch, {small_set(scratch, "cub", 6, 10)});
  config.cap = 12;
  mix(config);
  const auto seek = samples_of(config.output);
  config.kind = "direct";
  mix(config);
  const auto direct = samples_of(config.output);
  REQUIRE(seek.size() == direct.size());
  for (const auto& [id, sample] : seek) CHECK(direct.count(id) == 1);
}

TEST_CASE("the held-out set appears nowhere in the output", "[mixture]") {
  const Scratch scratch;
  MixtureSet held = small_set(scratch, "nab", 3);
  auto config = small_mixture(scratch, {small_set(scratch, "cub", 3), held});
  config.hold_out = {"nab"};
  const auto summary = mix(config);
  CHECK(summary.samples == 12);
  CHECK(summary.held_out_pictures == 12);
  CHECK(bytes_of(config.output).find("nab") == std::string::npos);

  // The same pictures under another key, and in the mix.
  MixtureSet copy = held;
  copy.key = "copy";
  auto leaking = config;
  leaking.output = (scratch.root() / "leak.jsonl").string();
  leaking.sets.push_back(copy);
  CHECK_THAT(fault_of(leaking), Contains("nab.jsonl: idx 0: the picture") &&
                                    Contains("is in the held-out set nab, too"));
  leaking.sets.pop_back();
  leaking.mix =
      scratch
          .write(
              "mix.json",
              R"([{"id": 1, "image": "a.jpg", "conversations": []}, {"id": 2, "image": ".//nab/nab 1/2.jpg"}])")
          .string();
  CHECK_THAT(
      fault_of(leaking),
      Contains("mix.json: record 1: the picture \"nab/nab 1/2.jpg\" is in the held-out set"));
  leaking.strict_hold_out = true;
  const auto strict = mix(leaking);
  CHECK(strict.mix_samples == 1);
  CHECK(strict.mix_left_out == 1);
  CHECK(bytes_of(leaking.output).find("nab") == std::string::npos);
}

TEST_CASE("names that sets share are reported, and left out when asked", "[mixture]") {
  const Scratch scratch;
  MixtureSet cub;
  cub.key = "cub";
  cub.records = write_set(scratch, "cub", {{{"Brewer Blackbird"}, 3}, {{"Blue Jay"}, 5}});
  cub.attributes = {write_attributes(scratch, "cub", {"Brewer Blackbird", "Blue Jay"})};
  MixtureSet nab;
  nab.key = "nab";
  nab.records = write_set(scratch, "nab", {{{"Brewer's Blackbird"}, 2}, {{"Wren"}, 2}});
  auto config = small_mixture(scratch, {cub, nab});
  config.hold_out = {"nab"};
  auto summary = mix(config);
  CHECK(summary.samples == 8);
  CHECK(summary.sets[0].shared_with_held_out ==
        std::vector<std::string>{"Brewer Blackbird (nab: Brewer's Blackbird)"});
  CHECK(summary.sets[0].shared_samples == 3);
  config.strict_hold_out = true;
  summary = mix(config);
  CHECK(summary.samples == 5);
  CHECK(bytes_of(config.output).find("Brewer") == std::string::npos);
}

TEST_CASE("classes without attributes are named and counted", "[mixture]") {
  const Scratch scratch;
  auto config = small_mixture(scratch, {small_set(scratch, "cub", 4)});
  config.sets[0].attributes = {write_attributes(scratch, "cub", {"cub 0", "cub 3", "cub 7"})};
  auto summary = mix(config);
  CHECK(summary.samples == 8);
  CHECK(summary.sets[0].without_attributes == std::vector<std::string>{"cub 1", "cub 2"});
  bool is_said = false;
  for (const auto& line : mixture_table(summary)) {
    is_said = is_said || line.find("classes without attributes, not used: 2 (cub 1, cub 2)") !=
                             std::string::npos;
  }
  CHECK(is_said);
  const auto manifest = nlohmann::json::parse(bytes_of(summary.manifest));
  CHECK(manifest["sets"]["cub"]["classes_without_attributes"].size() == 2);
  CHECK(manifest["sets"]["cub"]["classes"].size() == 4);

  config.kind = "direct";  // needs none
  CHECK(mix(config).samples == 16);
  config.only_with_attributes = true;
  CHECK(mix(config).samples == 8);
}

TEST_CASE("the manifest counts what was written and hashes what was read", "[mixture]") {
  const Scratch scratch;
  auto config = small_mixture(scratch, {small_set(scratch, "cub", 3)});
  const auto summary = mix(config);
  const auto manifest = nlohmann::json::parse(bytes_of(summary.manifest));
  CHECK(manifest["output"]["sha256"] == sha256_hex(bytes_of(config.output)));
  CHECK(manifest["output"]["samples"] == 12);
  CHECK(manifest["seed"] == 7);
  REQUIRE(manifest["inputs"].size() == 2);
  for (const auto& input : manifest["inputs"]) {
    CHECK(input["sha256"] == sha256_hex(bytes_of(input["file"].get<std::string>())));
  }
  for (const auto& its_class : manifest["sets"]["cub"]["classes"])
    CHECK(its_class["pictures"] == 4);
}

TEST_CASE("JSON and JSONL hold the same records, the mix behind them as it was", "[mixture]") {
  const Scratch scratch;
  auto config = small_mixture(scratch, {small_set(scratch, "cub", 2)});
  config.mix = scratch
                   .write("mix.json",
                          "\xef\xbb\xbf [\n {\"id\": \"m\\\"1\", \"image\": \"c.jpg\",\r\n"
                          "  \"conversations\": [{\"from\": \"human\", \"value\": "
                          "\"<image>\\nA  {b\"},{\"from\":\"gpt\",\"value\":\"\\\\\"}]}\n,"
                          "{\"id\":2,\"conversations\":[{\"from\":\"human\",\"value\":\"q\"},"
                          "{\"from\":\"gpt\",\"value\":\"]\"}]} ]\n")
                   .string();
  CHECK(mix(config).samples == 10);
  auto array = config;
  array.output = (scratch.root() / "out.json").string();
  mix(array);
  const auto lines = Dataset::open(config.output), records = Dataset::open(array.output);
  REQUIRE(lines.size() == 10);
  REQUIRE(records.size() == 10);
  for (int64_t i = 0; i < 10; ++i) {
    const Sample a = lines.read(i), b = records.read(i);
    CHECK(a.id == b.id);
    REQUIRE(a.turns.size() == b.turns.size());
    for (size_t t = 0; t < a.turns.size(); ++t) CHECK(a.turns[t].value == b.turns[t].value);
  }
  CHECK(lines.read(8).turns[0].value == "<image>\nA  {b");
  CHECK(lines.read(8).turns[1].value == "\\");
}

TEST_CASE("inputs at fault are named, and nothing is written", "[mixture]") {
  const Scratch scratch;
  const auto good = small_mixture(scratch, {small_set(scratch, "cub", 2)});
  auto config = good;
  config.sets[0].records = "no/such.jsonl";
  CHECK_THAT(fault_of(config), Contains("no/such.jsonl: cannot be opened"));
  config = good;
  config.sets[0].records = scratch.write("bad.jsonl", "{\"idx\": 0}\n").string();
  CHECK_THAT(fault_of(config), Contains("bad.jsonl:1: has no"));
  config = good;
  config.sets[0].attributes = {scratch.write("bad.json", "[{\"name\": 3}]").string()};
  CHECK_THAT(fault_of(config), Contains("bad.json: entry 0: name is a number"));
  config = good;
  config.mix = scratch.write("cut.json", "[{\"id\": 1, \"conversations\": [").string();
  CHECK_THAT(fault_of(config), Contains("cut.json: record 0 at byte 1: the file ends inside it"));
  config.mix = scratch.write("odd.json", "[{\"id\": 1} {\"id\": 2}]").string();
  CHECK_THAT(fault_of(config), Contains("odd.json: record 1 at byte 11: expected ',' or ']'"));
  config.mix = scratch.write("key.json", "[{\"id\": 01}]").string();
  CHECK_THAT(fault_of(config), Contains("key.json: record 0: "));
  config = good;
  config.templates = scratch.write("t.yaml", "coarse: {questions: [], answers: [x]}\n").string();
  CHECK_THAT(fault_of(config), Contains("t.yaml:1: coarse.questions has no wordings"));
  config = good;
  config.sets[0].attributes = {write_attributes(scratch, "other", {"nobody"})};
  CHECK_THAT(fault_of(config), Contains("none of the 8 records of the set cub can be used") &&
                                   Contains("2 have no attributes"));
  config = good;
  config.sets[0].records = write_set(scratch, "none", {{{"cub 0"}, 2, {}}});
  CHECK_THAT(fault_of(config), Contains("2 records have no coarse label"));
  config.sets[0].records = write_set(scratch, "mark", {{{"cub 0"}, 1, {"<image>"}}});
  CHECK_THAT(fault_of(config), Contains("idx 0: has <image> in its coarse label"));
  config.sets[0].records = write_set(scratch, "..", {{{"cub 0"}, 1}});
  CHECK_THAT(fault_of(config), Contains("idx 0: "));

  config = good;
  config.output = config.sets[0].records;
  CHECK_THAT(thrown<DataError>([&] { mix(config); }), Contains("is an input, too"));
  CHECK(lines_of(config.output).size() == 8);
}

}  // namespace finer::data
