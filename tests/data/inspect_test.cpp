#include "data/inspect.h"

#include "finer/core/error.h"
#include "tests/data/small_world.h"

namespace finer::data {

namespace {

struct Shown {
  explicit Shown(DataConfig changed = {}) : config(std::move(changed)) {
    scratch.write("a.bmp", bmp_bytes(10, 90));
    SetConfig set;
    set.path =
        scratch
            .write("a.jsonl", record_text("p", "a.bmp", "What is it?", "A blue jay.") + "\n" +
                                  record_text("t", "", "Say \\u001b[31m.", "A rosella.") + "\n" +
                                  record_text("m", "gone.bmp", "What?", "A warbler.") + "\n")
            .string();
    config.sets = {set};
  }
  std::string text(int64_t number, MarkTargets marks = MarkTargets::kBrackets) const {
    const SampleSource source(config, tokenizer, small_spec());
    return describe_sample(source, config, small_spec(), tokenizer, find_sample(source, number),
                           marks);
  }

  Scratch scratch;
  Tokenizer tokenizer = small_tokenizer();
  DataConfig config;
};

}  // namespace

TEST_CASE("a sample is shown with its picture, its counts and its targets marked", "[data]") {
  const Shown shown;
  const std::string text = shown.text(0);
  CAPTURE(text);
  CHECK_THAT(text, Catch::Contains("a.jsonl: record 0 (id \"p\")"));
  CHECK_THAT(text, Catch::Contains("10 x 10 px, 4 positions from "));
  CHECK_THAT(text, Catch::Contains("kept whole"));
  CHECK_THAT(text, Catch::Contains("USER: <image>\nWhat is it? ASSISTANT:[[ A blue jay.</s>]]\n"));
  CHECK_THAT(shown.text(0, MarkTargets::kTerminal),
             Catch::Contains("ASSISTANT:\x1b[1;32m A blue jay.</s>\x1b[0m\n"));
}

TEST_CASE("what stands in a sample cannot steer the terminal", "[data]") {
  const std::string text = Shown().text(1);
  CAPTURE(text);
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK_THAT(text, Catch::Contains("Say \\x1b[31m. ASSISTANT:[[ A rosella.</s>]]"));
  CHECK_THAT(text, Catch::Contains("picture  none"));
}

TEST_CASE("what the policies do with a sample is told", "[data]") {
  CHECK_THAT(Shown().text(2), Catch::Contains("stops the run (data.on_bad_record: stop)") &&
                                  Catch::Contains("gone.bmp"));
  DataConfig skip;
  skip.on_bad_record = "skip";
  CHECK_THAT(Shown(skip).text(2), Catch::Contains("skipped (data.on_bad_record: skip)"));
  DataConfig drop;
  drop.over_length = "drop";
  drop.max_tokens = 10;
  CHECK_THAT(Shown(drop).text(0), Catch::Contains("dropped (data.over_length: drop)"));
}

TEST_CASE("a cut sample is shown up to its cut", "[data]") {
  const Shown whole;
  const SampleSource source(whole.config, whole.tokenizer, small_spec());
  const auto length = static_cast<int64_t>(source.prepare({0, 0}).sample.input_ids.size());
  DataConfig cut;
  cut.max_tokens = length - 2;
  const std::string text = Shown(cut).text(0);
  CAPTURE(text);
  CHECK_THAT(text, Catch::Contains("cut to " + std::to_string(length - 2) + " tokens"));
  CHECK_THAT(text, Catch::Contains("ASSISTANT:[[ A blue") &&
                       Catch::Contains("]]\n(2 more tokens are cut)\n"));
  CHECK(text.find("</s>]]") == std::string::npos);
}

TEST_CASE("a sample that is not there is refused with the range", "[data]") {
  const Shown shown;
  for (const int64_t number : {int64_t{3}, int64_t{-1}, INT64_MAX, INT64_MIN}) {
    CHECK(thrown<DataError>([&] { shown.text(number); }) ==
          "sample " + std::to_string(number) +
              " is not there; the recipe's sets hold samples 0 to 2");
  }
}

}  // namespace finer::data
