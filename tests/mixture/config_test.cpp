#include "data/mixture/config.h"

#include "finer/core/error.h"
#include "tests/data/scratch.h"

#include <filesystem>
#include <string>
#include <vector>

namespace finer::data {

namespace {

using Catch::Matchers::Contains;

const std::string kSets =
    "sets=[{key: cub, records: c.jsonl, attributes: [a.json]}, "
    "{key: nab, records: n.jsonl, attributes: [b.json]}]";

std::string fault_of(std::vector<std::string> overrides, bool has_sets = true) {
  if (has_sets) overrides.push_back(kSets);
  overrides.push_back("output=o.json");
  return thrown<RecipeError>([&] { load_mixture_config("", overrides); });
}

}  // namespace

TEST_CASE("a mixture needs no recipe file", "[mixture]") {
  const auto config = load_mixture_config("", {kSets, "output=o.json", "kind=direct", "seed=3"});
  CHECK(config.sets.size() == 2);
  CHECK(config.kind == "direct");
  CHECK(config.seed == 3);
  CHECK(config.cap == 2500);
}

TEST_CASE("a recipe of a mixture is checked before any file is opened", "[mixture]") {
  CHECK_THAT(fault_of({}, false), Contains("command line: sets"));
  CHECK_THAT(fault_of({"knd=direct"}), Contains("knd") && Contains("\"kind\""));
  CHECK_THAT(fault_of({"kind=attrseek"}), Contains("kind") && Contains("attr-seek"));
  CHECK_THAT(fault_of({"hold_out=[nabird]"}),
             Contains("hold_out[0]: \"nabird\" is no key of sets"));
  CHECK_THAT(fault_of({"hold_out=[cub, nab]"}), Contains("every set is held out"));
  CHECK_THAT(fault_of({"attribute_detail=first-0"}), Contains("attribute_detail"));
  CHECK_THAT(fault_of({"kind=custom"}), Contains("kind custom needs at least one"));
  CHECK_THAT(fault_of({"rounds=[{round: fine}]"}), Contains("expected kind: custom or no rounds"));
  CHECK_THAT(fault_of({"kind=custom", "rounds=[{round: fine, probability: 0.5}]"}),
             Contains("all have a probability below 1"));
  CHECK_THAT(fault_of({"kind=custom", "rounds=[{round: fine}, {round: fine}]"}),
             Contains("fine is there twice"));
  CHECK_THAT(fault_of({"output=o.txt", "sets=[{key: a, records: r}, {key: a, records: s}]"}, false),
             Contains("\"a\" is there twice") && Contains("sets[0].attributes: found none"));
  CHECK_THAT(fault_of({"sets=[{key: a/b, records: r, image_prefix: ../x}]"}, false),
             Contains("sets[0].key"));
  CHECK_THAT(thrown<RecipeError>([&] {
               load_mixture_config("", {kSets, "output=o.txt"});
             }),
             Contains("ends with neither .json nor .jsonl"));
}

TEST_CASE("a written recipe reads back", "[mixture]") {
  const Scratch scratch;
  const auto config =
      load_mixture_config("", {kSets, "output=o.json", "kind=custom",
                               "rounds=[{round: coarse, probability: 0.25}, "
                               "{round: fine}]",
                               "hold_out=[nab]", "cap=0", "repeats=3", "shuffle_rounds=true"});
  const std::string yaml = mixture_to_yaml(config);
  const auto again = load_mixture_config(scratch.write("m.yaml", yaml).string(), {});
  CHECK(mixture_to_yaml(again) == yaml);
  CHECK(again.rounds[0].probability == 0.25);
}

TEST_CASE("the mixture recipes in the tree load", "[mixture]") {
  namespace fs = std::filesystem;
  int count = 0;
  for (const auto& entry :
       fs::directory_iterator(fs::path(FINER_SOURCE_DIR) / "data" / "recipes")) {
    if (entry.path().extension() != ".yaml") continue;
    INFO(entry.path());
    CHECK(load_mixture_config(entry.path().string(), {}).sets.size() > 0);
    ++count;
  }
  CHECK(count >= 4);
  CHECK_THAT(explain_mixture(), Contains("cap  (whole number"));
}

}  // namespace finer::data
