#include "finer/eval/class_table.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace {

using Catch::Matchers::Contains;
using finer::ClassAnswer;
using finer::EvalClasses;
using finer::Level;

finer::data::UnifiedRecord record(int64_t idx, std::vector<std::string> fine) {
  finer::data::UnifiedRecord one;
  one.idx = idx;
  one.superordinate = "Airplane";
  one.coarse = {"Boeing"};
  one.fine = std::move(fine);
  return one;
}

EvalClasses aircraft() {
  return EvalClasses({record(0, {"Boeing 737", "737-800"}), record(1, {"Boeing 737", "737-900"}),
                      record(2, {"A320"}), record(3, {"A320"}),
                      record(9, {"Boeing 747", "747-400"}), record(10, {"The \"Owl\", a plane"})});
}

ClassAnswer answer(const EvalClasses& classes, int64_t idx, const std::string& text,
                   const std::string& label) {
  return {classes.of_record(idx), text, finer::score_answer(text, {label})};
}

}  // namespace

TEST_CASE("records with the same fine labels are one class", "[eval]") {
  const auto classes = aircraft();
  REQUIRE(classes.size() == 5);
  CHECK(classes.of_record(2) == classes.of_record(3));
  CHECK(classes.of_record(0) != classes.of_record(1));
  CHECK(classes.of_record(4) == -1);
  CHECK(classes[classes.of_record(0)].name == "Boeing 737, 737-800");
  CHECK(classes[classes.of_record(2)].num_records == 2);
}

TEST_CASE("an answer names the class of the longest label in it", "[eval]") {
  const auto classes = aircraft();
  CHECK(classes.named_in("Answer: the A320.</s>")->label == "A320");
  CHECK(classes.named_in("It is a Boeing 747, not an A320")->label == "Boeing 747");
  CHECK(classes.named_in("a boeing 737")->classes.size() == 2);
  CHECK_FALSE(classes.named_in("an A3201"));  // whole words only
  CHECK_FALSE(classes.named_in(""));
  std::string late;
  for (int i = 0; i < 20; ++i) late += "word ";
  CHECK_FALSE(classes.named_in(late + "A320"));
}

TEST_CASE("confusions are wrong answers that are another class's name, most frequent first",
          "[eval]") {
  const auto classes = aircraft();
  const std::vector<ClassAnswer> answers = {
      answer(classes, 2, "Boeing 747", "A320"),   answer(classes, 3, "It is a Boeing 747.", "A320"),
      answer(classes, 2, "A320", "A320"),         answer(classes, 2, "a plane", "A320"),
      answer(classes, 9, "A320", "Boeing 747"),   answer(classes, 0, "Boeing 737-900", "737-800"),
      answer(classes, 1, "Boeing 737", "737-900")};
  const auto found = finer::confusions(classes, answers);
  REQUIRE(found.size() == 3);
  CHECK(found[0].gold == "A320");
  CHECK(found[0].answered == "Boeing 747");
  CHECK(found[0].count == 2);
  CHECK(found[0].num_gold == 4);
  CHECK(found[1].gold == "Boeing 737, 737-800");
  CHECK(found[1].answered == "737-900");
  CHECK(found[2].gold == "Boeing 747, 747-400");
  CHECK(finer::confusions(classes, answers, 1).size() == 1);
}

TEST_CASE("the table of classes is CSV that any reader takes", "[eval]") {
  const auto classes = aircraft();
  const auto csv = finer::class_csv(
      classes, {answer(classes, 2, "Boeing 747", "A320"), answer(classes, 3, "A320", "A320"),
                answer(classes, 10, "x", "The \"Owl\", a plane")});
  CHECK(csv ==
        "class,superordinate,coarse,count,em,strict_em,f1,most_answered,most_answered_count\n"
        "A320,Airplane,Boeing,2,0.500000,0.500000,0.500000,Boeing 747,1\n"
        "\"The \"\"Owl\"\", a plane\",Airplane,Boeing,1,0.000000,0.000000,0.000000,,0\n");
}

TEST_CASE("a row of results has an interval over pictures or over concepts", "[eval]") {
  std::vector<finer::ScoredPrediction> predictions;
  for (int64_t idx = 0; idx < 100; ++idx) {
    const double em = idx / 10 % 2 == 0 ? 1 : 0;
    predictions.push_back({idx, idx / 10, {em, 0, em / 2}});
  }
  const auto by_class = finer::result_row(predictions, finer::DrawBy::kClass);
  const auto by_sample = finer::result_row(predictions, finer::DrawBy::kSample);
  CHECK(by_class.count == 100);
  CHECK(by_class.num_classes == 10);
  CHECK(by_class.em.mean == Approx(0.5));
  CHECK(by_class.f1.mean == Approx(0.25));
  CHECK(by_class.strict_em.high == 0);
  CHECK(by_class.em.high - by_class.em.low > 2 * (by_sample.em.high - by_sample.em.low));
}

TEST_CASE("a difference is taken over what both models answered", "[eval]") {
  std::vector<finer::ScoredPrediction> a, b;
  for (int64_t idx = 0; idx < 40; ++idx) a.push_back({idx, idx / 4, {1, 1, 1}});
  for (int64_t idx = 39; idx >= 10; --idx) b.push_back({idx, idx / 4, {idx % 2 ? 1.0 : 0.0, 0, 0}});
  const auto row = finer::difference_row(a, b, finer::DrawBy::kClass);
  CHECK(row.count == 30);
  CHECK(row.em.mean == Approx(0.5));
  CHECK(row.strict_em.mean == 1);
  b.push_back(b.front());
  CHECK_THROWS_AS(finer::difference_row(a, b, finer::DrawBy::kClass), std::logic_error);
  CHECK(finer::difference_row(a, {}, finer::DrawBy::kClass).count == 0);
}

TEST_CASE("the table of results is aligned text, and JSON for programs", "[eval]") {
  finer::ResultRow row;
  row.model = "attr-seek";
  row.set = "caf\u00e9";
  row.level = Level::kCoarse;
  row.count = 1270;
  row.em = {0.742, 0.65, 0.82};
  auto other = row;
  other.model = "base";
  other.em = {0, 0, 0};
  finer::DifferenceRow difference;
  difference.model = "attr-seek";
  difference.other_model = "base";
  difference.em = {0.742, 0.6, 0.8};
  const auto text = finer::result_table_text({row, other}, {difference});
  CHECK_THAT(text, Contains("model      set   level       n               EM %"));
  CHECK_THAT(text, Contains("attr-seek  caf\u00e9  coarse  1,270  74.2 [65.0, 82.0]"));
  CHECK_THAT(text, Contains("attr-seek - base"));
  CHECK_THAT(text, Contains("+74.2 [+60.0, +80.0]"));
  CHECK_FALSE(Catch::contains(text, "asked"));
  const auto json = finer::result_table_json({row, other}, {difference});
  CHECK(json["rows"][0]["em"]["low"] == 0.65);
  CHECK(json["rows"][1]["level"] == "coarse");
  CHECK(json["differences"][0]["other_model"] == "base");
  CHECK(finer::result_table_text({}).empty());
}
