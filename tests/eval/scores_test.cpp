#include "finer/eval/scores.h"

#include "finer/core/error.h"
#include "finer/eval/unicode.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <fstream>

namespace {

using finer::Level;

nlohmann::json golden_file(const std::string& name) {
  std::ifstream in(std::string(FINER_SOURCE_DIR) + "/tests/golden/" + name);
  REQUIRE(in);
  return nlohmann::json::parse(in);
}

finer::Score score_of(const std::string& text, const std::string& label) {
  return finer::score_answer(text, {label});
}

}  // namespace

TEST_CASE("every EM and F1 equals the authors' scoring", "[eval]") {
  const auto golden = golden_file("scores.json");
  std::vector<finer::data::UnifiedRecord> records;
  for (const auto& record : golden["records"]) {
    records.push_back(finer::data::parse_unified(record.dump()));
  }
  REQUIRE(golden["cases"].size() == 10);
  for (const auto& one : golden["cases"]) {
    const auto& record = records.at(one["idx"].get<size_t>());
    for (const Level level : finer::kLevels) {
      const auto text = one["text"].get<std::string>();
      const auto score = finer::score_answer(text, finer::gold_labels(record, level));
      INFO(text << " at " << finer::level_name(level));
      CHECK(score.em == one[finer::level_name(level)]["em"].get<double>());
      CHECK(score.f1 == Approx(one[finer::level_name(level)]["f1"].get<double>()).margin(1e-6));
      CHECK(score.strict_em <= score.em);
    }
  }
}

TEST_CASE("lower case, words and articles are Python's", "[eval]") {
  const auto cases = golden_file("unicode.json");
  REQUIRE(cases.size() > 40);
  for (const auto& one : cases) {
    const auto text = one["text"].get<std::string>();
    INFO(text);
    CHECK(finer::lower_case(text) == one["lower"].get<std::string>());
    CHECK(finer::normalise_answer(text) == one["normal"].get<std::string>());
    std::vector<std::string> words;
    for (const auto word : finer::split_words(text)) words.emplace_back(word);
    CHECK(words == one["split"].get<std::vector<std::string>>());
  }
}

TEST_CASE("bytes that are no UTF-8 stay and are no letters", "[eval]") {
  CHECK(finer::lower_case("AB\xff\xc3\xe2\x82") == "ab\xff\xc3\xe2\x82");
  CHECK(finer::lower_case("\xc3\x89\xed\xa0\x80") == "\xc3\xa9\xed\xa0\x80");
  CHECK(finer::normalise_answer("the\xff owl") == "\xff owl");
  CHECK(finer::split_words("\xa0 x").size() == 2);  // a lone byte 0xa0 is no blank
}

TEST_CASE("the answer is what follows the first mark, stripped, without end marks", "[eval]") {
  CHECK(finer::answer_part("It flies. Answer: an owl </s>") == "an owl ");
  CHECK(finer::answer_part("Answer: x Answer: y") == "x Answer: y");
  CHECK(finer::answer_part(" no mark\n") == "no mark");
  CHECK(finer::answer_part("answer: owl") == "answer: owl");
  CHECK(finer::answer_part("a</s>b</s></s>") == "ab");
  CHECK(finer::answer_part("</</s>s>") == "</s>");  // one pass, as str.replace
  CHECK(finer::answer_part("Answer:").empty());
}

TEST_CASE("EM looks at the first 20 words, and the whole answer may be the label", "[eval]") {
  std::string filler;
  for (int i = 0; i < 18; ++i) filler += "word ";
  CHECK(score_of(filler + "great owl", "Great Owl").em == 1);
  CHECK(score_of(filler + "word great owl", "Great Owl").em == 0);
  std::string long_label;
  for (int i = 0; i < 25; ++i) long_label += "w" + std::to_string(i) + " ";
  CHECK(score_of(long_label, long_label).em == 1);
  CHECK(score_of(long_label, long_label).strict_em == 1);
  CHECK(score_of(long_label, long_label).f1 == Approx(2 * 0.4 / 1.4));  // 10 words of the label
  CHECK(score_of("a cartoon", "car").em == 1);  // a substring, not a word: the authors' rule
  CHECK(score_of("a cartoon", "car").strict_em == 0);
  CHECK(score_of("The Owl!", "owl").strict_em == 1);
}

TEST_CASE("F1 counts a repeated word as often as both have it", "[eval]") {
  CHECK(score_of("owl owl owl", "owl owl").f1 == Approx(2 * (2.0 / 3) / (2.0 / 3 + 1)));
  CHECK(score_of("owl", "owl owl").f1 == Approx(2 * 0.5 / 1.5));
  CHECK(score_of("eel", "owl").f1 == 0);
}

TEST_CASE("each score is the best over the labels on its own", "[eval]") {
  const auto score =
      finer::score_answer("monarch butterfly of the milkweed", {"milkweed", "monarch butterfly"});
  CHECK(score.em == 1);
  CHECK(score.f1 == Approx(2 * 0.5 / 1.5));
  CHECK_THROWS_AS(finer::score_answer("x", {}), std::logic_error);
}

TEST_CASE("the coarser the level, the more labels are right", "[eval]") {
  finer::data::UnifiedRecord record;
  record.superordinate = "Bird";
  record.coarse = {"Owls"};
  record.fine = {"Strix aluco", "Tawny Owl"};
  CHECK(finer::gold_labels(record, Level::kFine).size() == 2);
  CHECK(finer::gold_labels(record, Level::kCoarse).size() == 3);
  CHECK(finer::gold_labels(record, Level::kHighCoarse).size() == 4);
  record.coarse.clear();
  CHECK_FALSE(finer::has_level(record, Level::kCoarse));
  CHECK(finer::has_level(record, Level::kFine));
}

TEST_CASE("a level is named as in files, and a near miss is helped", "[eval]") {
  for (const Level level : finer::kLevels) {
    CHECK(finer::parse_level(finer::level_name(level)) == level);
  }
  CHECK_THROWS_WITH(finer::parse_level("corse"),
                    "level \"corse\" is not known; did you mean \"coarse\"?");
}
