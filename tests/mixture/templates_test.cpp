#include "data/mixture/templates.h"

#include "finer/core/error.h"
#include "tests/data/scratch.h"

namespace finer::data {

namespace {

using Catch::Matchers::Contains;

std::string fault_of(const std::string& yaml) {
  return thrown<DataError>([&] { Templates::parse(yaml, "t.yaml"); });
}

}  // namespace

TEST_CASE("the program's wordings are as many as the paper's", "[templates]") {
  const auto templates = Templates::load("");
  CHECK(templates.of(RoundKind::kCoarse, false).questions.size() == 20);
  CHECK(templates.of(RoundKind::kCoarse, false).answers.size() == 18);
  CHECK(templates.of(RoundKind::kFine, false).questions.size() == 20);
  CHECK(templates.of(RoundKind::kFine, false).answers.size() == 18);
  CHECK(templates.of(RoundKind::kAttributes, false).questions.size() == 15);
  CHECK(templates.of(RoundKind::kAttributes, false).answers.size() == 15);
  CHECK(templates.of(RoundKind::kFine, true).questions.size() == 16);
  CHECK(templates.of(RoundKind::kSuperordinate, false).questions.size() > 0);
}

TEST_CASE("placeholders are filled in", "[templates]") {
  const auto wording = Wording::parse("A {coarse}: {attributes}; {coarse}.");
  CHECK(wording.filled({"Bird", "Jay", "blue, {fine}", "Blue Jay"}) == "A Jay: blue, {fine}; Jay.");
  CHECK(wording.has(Wording::Slot::kCoarse));
  CHECK_FALSE(wording.has(Wording::Slot::kFine));
}

TEST_CASE("wordings that cannot work are refused with their line", "[templates]") {
  CHECK_THAT(fault_of("coarse: {questions: [a], answers: [b]}"),
             Contains("t.yaml:1: coarse.answers[0] lacks {coarse}"));
  CHECK_THAT(fault_of("fine:\n  questions: [a]\n  answers:\n    - '{fine}'\n    - none\n"),
             Contains("t.yaml:5: fine.answers[1] lacks {fine}"));
  CHECK_THAT(fault_of("coarse: {questions: ['a {coarse}'], answers: ['{coarse}']}"),
             Contains("coarse.questions[0] has {coarse}, which would tell the answer"));
  CHECK_THAT(fault_of("fine: {questions: ['{attributes}?'], answers: ['{fine}']}"),
             Contains("the section fine_after_attributes may have it"));
  CHECK_THAT(fault_of("fine: {questions: [a]}"), Contains("fine.answers is missing"));
  CHECK_THAT(fault_of("fine: {questions: [], answers: ['{fine}']}"),
             Contains("fine.questions has no wordings"));
  CHECK_THAT(fault_of("fine: {questions: [a], answers: ['{fin}']}"),
             Contains("is no placeholder; did you mean \"fine\"?"));
  CHECK_THAT(fault_of("fine: {questions: ['a {'], answers: ['{fine}']}"),
             Contains("has { without }"));
  CHECK_THAT(fault_of("fine: {questions: ['<image> a'], answers: ['{fine}']}"),
             Contains("has <image>"));
  CHECK_THAT(fault_of("fine: {questions: ['  '], answers: ['{fine}']}"), Contains("is empty"));
  CHECK_THAT(fault_of("fne: {questions: [a], answers: [b]}"), Contains("unknown section \"fne\""));
  CHECK_THAT(fault_of("fine: {question: [a], answers: [b]}"), Contains("unknown key \"question\""));
  CHECK_THAT(fault_of("fine: [a]"), Contains("expected the lists questions and answers"));
  CHECK_THAT(fault_of("- a"), Contains("found no sections"));
  CHECK_THAT(thrown<DataError>([] { Templates::load("no/such.yaml"); }),
             Contains("no/such.yaml: is not there"));
  const auto only_fine = Templates::parse("fine: {questions: [a], answers: ['{fine}']}", "t.yaml");
  CHECK_THAT(thrown<DataError>([&] { only_fine.of(RoundKind::kCoarse, false); }),
             Contains("t.yaml: has no section coarse"));
}

}  // namespace finer::data
