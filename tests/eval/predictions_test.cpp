#include "finer/eval/predictions.h"

#include "finer/core/error.h"
#include "finer/eval/eval_recipe.h"
#include "finer/eval/rank_shares.h"
#include "tests/data/scratch.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace {

namespace fs = std::filesystem;
using finer::Prediction;
using finer::PredictionsFile;

const std::map<std::string, std::string> kSettings = {{"model", "abc"}, {"turns[0]", "fine: Q?"}};

Prediction answer(int64_t idx, const std::string& text) {
  return {.idx = idx, .text = text, .question = "Q?", .turns = {{"fine", "Q?", text}}};
}

std::string bytes_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::string message_of(const fs::path& file, const std::map<std::string, std::string>& settings) {
  try {
    PredictionsFile(file, settings);
    return "no error";
  } catch (const finer::DataError& error) {
    return error.what();
  }
}

}  // namespace

TEST_CASE("a prediction reads back as it was written", "[eval]") {
  Prediction p = answer(7, "line\nbreak \"quoted\" \xc3\xa9 {}");
  p.turns.insert(p.turns.begin(), {"attributes", "What?", ""});
  p.is_cut = true;
  p.ranked = {"A", "B"};
  const auto line = finer::prediction_line(p);
  CHECK(line.find('\n') == std::string::npos);
  const auto q = finer::parse_prediction(line);
  CHECK(q.idx == 7);
  CHECK(q.text == p.text);
  CHECK(q.turns.size() == 2);
  CHECK(q.turns[0].ask == "attributes");
  CHECK(q.is_cut);
  CHECK(q.ranked == p.ranked);
  // Bytes that are no UTF-8 (half of a character, cut by the token limit) do not stop a run.
  CHECK(finer::parse_prediction(finer::prediction_line(answer(1, "a\xc3"))).text ==
        "a\xef\xbf\xbd");
}

TEST_CASE("a file cut anywhere keeps its whole lines and goes on", "[eval]") {
  const finer::data::Scratch scratch;
  const auto file = scratch.root() / "p" / "a.jsonl";
  {
    PredictionsFile predictions(file, kSettings);
    for (int64_t i = 0; i < 3; ++i) predictions.append(answer(i, "text " + std::to_string(i)));
  }
  const std::string whole = bytes_of(file);
  const size_t second = whole.find('\n', whole.find('\n') + 1) + 1;
  for (size_t size = 0; size <= whole.size(); size += 7) {
    INFO(size);
    std::ofstream(file, std::ios::binary | std::ios::trunc) << whole.substr(0, size);
    {
      PredictionsFile predictions(file, kSettings);
      const size_t kept = predictions.all().size();
      CHECK(kept == static_cast<size_t>(std::count(whole.begin(), whole.begin() + size, '\n')));
      for (int64_t i = 0; i < 3; ++i) {
        if (!predictions.has(i)) predictions.append(answer(i, "text " + std::to_string(i)));
      }
    }
    CHECK(bytes_of(file) == whole);
  }
  // A last line of zeros, as a power cut leaves it, is cut as well; one in the middle is a fault.
  std::ofstream(file, std::ios::binary | std::ios::trunc)
      << whole.substr(0, second) + std::string(5, '\0') + "\n";
  CHECK(PredictionsFile(file, kSettings).all().size() == 2);
  std::ofstream(file, std::ios::binary | std::ios::trunc) << "{\"idx\": 1}\n" + whole;
  CHECK(message_of(file, kSettings).find("a.jsonl:1: expected a JSON object with idx and text") !=
        std::string::npos);
}

TEST_CASE("an idx twice is refused, in the file and on the way to it", "[eval]") {
  const finer::data::Scratch scratch;
  const auto file = scratch.root() / "a.jsonl";
  {
    PredictionsFile predictions(file, kSettings);
    predictions.append(answer(4, "x"));
    CHECK_THROWS_WITH(predictions.append(answer(4, "y")), Catch::Contains("idx 4 for the second"));
  }
  const std::string line = bytes_of(file);
  std::ofstream(file, std::ios::binary | std::ios::app) << line;
  CHECK(message_of(file, kSettings).find("a.jsonl:2: idx 4 for the second time") !=
        std::string::npos);
}

TEST_CASE("answers to other questions are not mixed in", "[eval]") {
  const finer::data::Scratch scratch;
  const auto file = scratch.root() / "a.jsonl";
  { PredictionsFile(file, kSettings).append(answer(0, "x")); }
  const std::string before = bytes_of(file);
  auto other = kSettings;
  other["turns[0]"] = "fine: R?";
  CHECK(message_of(file, other).find("turns[0] was \"fine: Q?\", is now \"fine: R?\"") !=
        std::string::npos);
  other = kSettings;
  other["sampling"] = "hot";
  CHECK(message_of(file, other).find("sampling was nothing, is now \"hot\"") != std::string::npos);
  CHECK(bytes_of(file) == before);
  fs::remove(scratch.root() / "a.settings.json");
  CHECK(message_of(file, kSettings).find("a.settings.json is missing") != std::string::npos);
}

TEST_CASE("two processes do not write one file", "[eval]") {
  const finer::data::Scratch scratch;
  const auto file = scratch.root() / "a.jsonl";
  const PredictionsFile first(file, kSettings);
  CHECK(message_of(file, kSettings).find("another finer-eval is writing it") != std::string::npos);
}

TEST_CASE("the parts of ranks become one file, also where a rank was killed as it made its own",
          "[eval]") {
  const finer::data::Scratch scratch;
  finer::EvalRecipe recipe;
  recipe.output = (scratch.root() / "eval").string();
  const auto part = [&](int rank) {
    return scratch.root() / "eval" / "parts" / ("rank-" + std::to_string(rank)) / "predictions" /
           "a.jsonl";
  };
  {
    PredictionsFile first(part(0), kSettings), third(part(2), kSettings);
    first.append(answer(4, "a gull"));
    third.append(answer(2, "a tern"));
  }
  fs::create_directories(part(1).parent_path());
  std::ofstream(part(1)).close();  // no settings yet
  finer::merge_parts(recipe);
  CHECK_FALSE(fs::exists(scratch.root() / "eval" / "parts"));
  const PredictionsFile whole(scratch.root() / "eval" / "predictions" / "a.jsonl", kSettings);
  REQUIRE(whole.all().size() == 2);
  CHECK(whole.all().at(2).text == "a tern");
  CHECK(whole.all().at(4).text == "a gull");

  // answers without settings are nobody's
  fs::create_directories(part(0).parent_path());
  std::ofstream(part(0)) << finer::prediction_line(answer(9, "an auk")) << "\n";
  CHECK_THROWS_AS(finer::merge_parts(recipe), finer::DataError);
}
