#include "finer/eval/prompts.h"

#include "finer/core/error.h"
#include "finer/eval/eval_recipe.h"
#include "tests/data/scratch.h"

#include <cstdlib>
#include <filesystem>

namespace {

namespace fs = std::filesystem;
using finer::Ask;
using finer::EvalPromptConfig;
using finer::Level;

const std::vector<std::string> kAll = {"high_coarse", "coarse", "fine"};

finer::data::UnifiedRecord rosella() {
  return {.idx = 3,
          .superordinate = "Bird",
          .coarse = {"Parrots", "Rosellas"},
          .fine = {"Adelaide Rosella"},
          .img_path = "a.png"};
}

std::string filled(const std::string& wording, Level level,
                   const std::map<Ask, std::string>& given = {}) {
  return finer::fill_wording(wording, rosella(), {"red head", "blue cheek"}, given, level);
}

std::string load_message(const std::string& yaml, const std::vector<std::string>& overrides = {}) {
  const finer::data::Scratch scratch;
  const auto file = scratch.write("e.yaml", yaml);
  try {
    finer::load_eval_recipe(file, overrides);
    return "no error";
  } catch (const finer::RecipeError& error) {
    std::string text = error.what();
    const std::string folder = scratch.root().string() + "/";
    for (size_t at; (at = text.find(folder)) != std::string::npos;) text.erase(at, folder.size());
    return text;
  }
}

const std::string kLeast =
    "models:\n  - {name: m, llava: dir}\nsets:\n  - {name: s, records: r.jsonl}\noutput: o\n";

}  // namespace

TEST_CASE("what is kept of an answer follows a text, or is all of it", "[eval]") {
  CHECK(finer::kept_words("The owl with red body, blue wing.", " with ") == "red body, blue wing");
  CHECK(finer::kept_words("red body", " with ") == "red body");
  CHECK(finer::kept_words("red with blue with green", " with ") == "blue with green");
  CHECK(finer::kept_words("The owl with ", " with ") == "unknown");
  CHECK(finer::kept_words("The owl with red body", "") == "The owl with red body");
}

TEST_CASE("a question names the label one level up", "[eval]") {
  const auto plans = finer::plan_prompt({.name = "direct"}, {"fine", "high_coarse", "coarse"});
  REQUIRE(plans.size() == 3);
  CHECK((plans[0].scored == std::vector<Ask>{Ask::kSuperordinate}));
  CHECK((plans[2].scored == std::vector<Ask>{Ask::kFine}));
  const auto question = [&](size_t i) {
    REQUIRE(plans[i].rounds.size() == 1);
    return filled(plans[i].rounds[0].wording, plans[i].level());
  };
  CHECK(question(0).find("Bird") == std::string::npos);
  CHECK(question(1).find("What kind of Bird is") == 0);
  CHECK(question(2).find("exact name of the Parrots or Rosellas in") != std::string::npos);
  CHECK(question(2).find("Adelaide") == std::string::npos);
}

TEST_CASE("attributes are asked for before the name, in the same conversation", "[eval]") {
  const auto plans = finer::plan_prompt({.name = "a", .kind = "attr_seek"}, {"fine"});
  REQUIRE(plans.size() == 1);
  REQUIRE(plans[0].rounds.size() == 2);
  CHECK((plans[0].rounds[0].ask == Ask::kAttributes));
  CHECK((plans[0].rounds[1].ask == Ask::kFine));
  CHECK(filled(plans[0].rounds[1].wording, Level::kFine, {{Ask::kAttributes, "a green tail"}})
            .find("It has a green tail.") == 0);
}

TEST_CASE("turns are scored at the levels they ask, as far as those are wanted", "[eval]") {
  const EvalPromptConfig prompt{.name = "t",
                                .kind = "turns",
                                .turns = {{"superordinate", "a"},
                                          {"attributes", "b"},
                                          {"fine", "{attributes} {coarse} {superordinate}"}}};
  const auto plans = finer::plan_prompt(prompt, kAll);
  REQUIRE(plans.size() == 1);
  CHECK((plans[0].scored == std::vector<Ask>{Ask::kSuperordinate, Ask::kFine}));
  CHECK(plans[0].round_of(Ask::kFine) == 2);
  CHECK(finer::plan_prompt(prompt, {"coarse"}).empty());
  // The model's own answers, and gold where nothing was asked.
  CHECK(filled(plans[0].rounds[2].wording, Level::kFine,
               {{Ask::kSuperordinate, "fish"}, {Ask::kAttributes, "fins"}}) ==
        "fins Parrots or Rosellas fish");
}

TEST_CASE("few-shot prompts show the cases of their level, then the question", "[eval]") {
  const EvalPromptConfig prompt{
      .name = "c",
      .kind = "cot_few",
      .examples = {{"fine", "Q1?", "Because. Answer: X"}, {"coarse", "Q2?", "Since. Answer: Y"}}};
  const auto plans = finer::plan_prompt(prompt, {"coarse", "fine"});
  const auto& fine = plans[1].rounds[0].wording;
  CHECK(fine.find("Question: Q1?\nBecause. Answer: X\n\nQuestion: What is the exact") == 0);
  CHECK(fine.find("Q2?") == std::string::npos);
  CHECK(fine.find("step by step") != std::string::npos);
  CHECK(plans[0].rounds[0].wording.find("Q1?") == std::string::npos);
}

TEST_CASE("what stands in an answer stays text", "[eval]") {
  CHECK(filled("It has {attributes}.", Level::kFine, {{Ask::kAttributes, "{coarse} wings"}}) ==
        "It has {coarse} wings.");
  CHECK(filled("{attributes}", Level::kFine, {{Ask::kAttributes, "a <im<image>age> b"}}) == "a  b");
  CHECK(finer::answer_in_words(" It flies. Answer: Red Owl.\nMore.</s>") == "Red Owl");
  CHECK(finer::answer_in_words("") == "unknown");
  CHECK(finer::answer_in_words("...") == "unknown");
  CHECK(finer::answer_as_turn("<image>") == "unknown");
  const auto turns = finer::conversation_so_far({"q1", "q2"}, {""}, true);
  REQUIRE(turns.size() == 3);
  CHECK(turns[0].value == "<image>\nq1");
  CHECK(turns[1].value == "unknown");
  CHECK(turns[2].value == "q2");
}

TEST_CASE("a wording with a place that does not exist is refused", "[eval]") {
  CHECK(finer::wording_fault("Which {coarser}?").empty());
  CHECK(finer::wording_fault("Which {colour}?").find("{colour}") != std::string::npos);
  CHECK(finer::wording_fault("Which {coarse?").find("without its") != std::string::npos);
  CHECK(finer::wording_fault("<image> what?").find("<image>") != std::string::npos);
  CHECK(finer::wording_fault(" \n") == "is blank; expected a question");
}

TEST_CASE("an evaluation recipe says all of its faults with file and line", "[eval]") {
  CHECK(load_message(kLeast) == "no error");
  CHECK(load_message(kLeast + "promts: []\n") ==
        "e.yaml:6: promts: unknown key; did you mean \"prompts\"?");
  CHECK(load_message(kLeast + "levels: [fine, finer]\n")
            .find("e.yaml:6: levels[1]: found \"finer\"") == 0);
  CHECK(load_message(kLeast, {"models.0.llava=null"}).find("names no model") != std::string::npos);
  CHECK(load_message(kLeast, {"models.0.name=a b"}).find("models[0].name: found \"a b\"") !=
        std::string::npos);
  CHECK(load_message(kLeast, {"models.0.prompts=[dirct]", "prompts=[{name: direct}]"})
            .find("which is no prompt; did you mean \"direct\"?") != std::string::npos);
  CHECK(load_message(kLeast, {"prompts=[{name: a, coarser: predicted}]", "levels=[fine]"})
            .find("prompts[0].coarser: found \"predicted\" without the level above") !=
        std::string::npos);
  CHECK(load_message(kLeast, {"prompts=[{name: a, kind: turns}]"})
            .find("prompts[0].turns: missing") != std::string::npos);
  CHECK(load_message(kLeast, {"prompts=[{name: a, attributes: x}]"})
            .find("prompts[0].attributes: does nothing here") != std::string::npos);
  CHECK(load_message(kLeast, {"prompts=[{name: a, kind: turns, turns: [{ask: hue, wording: x}]}]"})
            .find("prompts[0].turns[0].ask: found \"hue\"") != std::string::npos);
  CHECK(load_message(kLeast, {"prompts=[{name: probe.x}]"}).find("probe.") != std::string::npos);
  CHECK(load_message(kLeast, {"probes={knowledge: {}}"})
            .find("probes.knowledge: needs sets[0].attributes") != std::string::npos);
  CHECK(
      load_message(kLeast, {"probes={linear: [{fit_records: a, test_records: b, taps: [vision]}]}"})
          .find("probes.linear[0].taps[0]: found \"vision\"") != std::string::npos);
  CHECK(load_message(kLeast, {"compare=[{model: m, prompt: direct, other_model: n, other_prompt: "
                              "direct}]"})
            .find("compare[0].other_model: found \"n\", which is no model") != std::string::npos);
}

TEST_CASE("a resolved evaluation recipe loads to the same recipe", "[eval]") {
  const finer::data::Scratch scratch;
  const auto file = scratch.write(
      "e.yaml", kLeast +
                    "prompts: [{name: a, kind: turns, turns: [{ask: fine, wording: \"x: "
                    "{coarse}?\"}]}, {name: b, kind: cot_few}]\nprobes: {linear: "
                    "[{fit_records: a, test_records: b}]}\n");
  const auto yaml = finer::eval_recipe_to_yaml(finer::load_eval_recipe(file, {}));
  const auto again = finer::load_eval_recipe(scratch.write("f.yaml", yaml), {});
  CHECK(finer::eval_recipe_to_yaml(again) == yaml);
  CHECK(again.prompts[0].turns[0].wording == "x: {coarse}?");
}

TEST_CASE("every evaluation recipe in the tree loads", "[eval]") {
  int count = 0;
  for (const auto& entry :
       fs::recursive_directory_iterator(fs::path(FINER_SOURCE_DIR) / "recipes")) {
    const bool is_eval =
        entry.path().parent_path().filename() == "eval" || entry.path().stem() == "eval";
    if (entry.path().extension() != ".yaml" || !is_eval) continue;
    INFO(entry.path());
    CHECK(finer::eval_recipe_to_yaml(finer::load_eval_recipe(entry.path(), {})).size() > 100);
    ++count;
  }
  CHECK(count >= 2);
}

TEST_CASE("docs/evaluation.md lists the keys that the program explains", "[eval]") {
  const auto file = fs::path(FINER_SOURCE_DIR) / "docs" / "evaluation.md";
  std::ifstream stream(file, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(stream)), {});
  const std::string mark = "<!-- keys: written by the program -->\n";
  const size_t at = text.find(mark);
  REQUIRE(at != std::string::npos);
  const std::string wanted = text.substr(0, at) + mark + finer::explain_eval_recipe(true);
  if (std::getenv("FINER_WRITE_DOCS") != nullptr) std::ofstream(file, std::ios::binary) << wanted;
  INFO("write it anew: FINER_WRITE_DOCS=1 eval_test \"docs*\"");
  const bool is_equal = text == wanted;
  CHECK(is_equal);
}
