#include "data/check.h"

#include "finer/core/error.h"
#include "tests/data/small_world.h"

#include <algorithm>

namespace finer::data {

namespace {

using Catch::Matchers::Contains;

CheckReport check(const std::filesystem::path& file, CheckOptions options = {}) {
  return check_file(file, options, [](const std::string&) {});
}

int64_t count_of(const CheckReport& report, FaultKind kind) {
  return report.faults[static_cast<size_t>(kind)];
}

}  // namespace

TEST_CASE("every form of conversations is checked, and good ones have no fault", "[check]") {
  const Scratch scratch;
  const auto file = scratch.write("good.jsonl", record_text("a", "p.bmp", "Q?", "A.") + "\n" + R"(
{"id": 3, "messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]}
{"id": "c", "messages": [{"role": "user", "content": [{"type": "image", "image": "p.bmp"}, {"type": "text", "text": "Q"}]}, {"role": "assistant", "content": "A"}]}
)");
  scratch.write("p.bmp", bmp_bytes(8, 3));
  const Tokenizer tokenizer = small_tokenizer();
  CheckOptions options;
  options.images = scratch.root();
  options.decodes_pictures = true;
  options.tokenizer = &tokenizer;
  options.image_positions = 4;
  const auto report = check(file, options);
  CHECK(report.samples == 3);
  CHECK(report.with_picture == 2);
  CHECK(report.faulty_samples == 0);
  CHECK(report.turns == std::vector<int32_t>{2, 2, 2});
  CHECK(report.tokens.size() == 3);
  CHECK(report.label_tokens > 3);
}

TEST_CASE("each kind of fault is found, counted and named", "[check]") {
  const Scratch scratch;
  const auto file = scratch.write(
      "bad.jsonl",
      record_text("same", "here.bmp", "Q?", "A.") + "\n" +         // 0 good
          record_text("same", "missing.bmp", "Q?", "A.") + "\n" +  // 1 no picture
          record_text("c", "../out.bmp", "Q?", "A.") + "\n" +      // 2 outside
          R"({"id": "d", "conversations": [{"from": "human", "value": "Q"}]})" + "\n" +  // 3
          R"({"id": "e", "conversations": [{"from": "bot", "value": "Q"}]})" + "\n" +    // 4
          R"({"id": "f", "conversations": [{"from": "gpt", "value": "A"}]})" + "\n" +    // 5
          R"({"id": "g", "image": "x", "conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]})" +
          "\n" +                                            // 6 no mark
          record_text("h", "cut.bmp", "Q?", "A.") + "\n" +  // 7 broken picture
          record_text("i", "", "Q?", " ") + "\n");          // 8 empty answer
  scratch.write("here.bmp", bmp_bytes(8, 3));
  scratch.write("cut.bmp", bmp_bytes(8, 3).substr(0, 60));
  CheckOptions options;
  options.images = scratch.root();
  options.decodes_pictures = true;
  const auto report = check(file, options);
  CHECK(report.samples == 9);
  CHECK(report.faulty_samples == 8);
  CHECK(count_of(report, FaultKind::kStructure) == 2);
  CHECK(count_of(report, FaultKind::kPicture) == 3);
  CHECK(count_of(report, FaultKind::kTurns) == 2);
  CHECK(count_of(report, FaultKind::kNoTarget) == 1);
  CHECK(report.ids_twice == 1);
  REQUIRE(report.examples.size() == 8);
  CHECK_THAT(report.examples[0].text,
             Contains("bad.jsonl: record 1 (id \"same\"): picture: ") && Contains("is not there"));
  CHECK_THAT(report.examples[3].text, Contains("record 4 (id \"e\")"));
  const auto table = check_table(report);
  CHECK(std::find(table.begin(), table.end(), "samples at fault      8") != table.end());

  options.decodes_pictures = false;
  CHECK(check(file, options).faulty_samples == 7);
  options.images.reset();
  CHECK(check(file, options).faulty_samples == 5);
}

TEST_CASE("lengths are held against the limit, pictures counted", "[check]") {
  const Scratch scratch;
  const auto file = scratch.write("a.jsonl", many_records(scratch, "s", 30));
  const Tokenizer tokenizer = small_tokenizer();
  CheckOptions options;
  options.tokenizer = &tokenizer;
  const auto free = check(file, options);
  CHECK(free.faulty_samples == 0);
  CHECK(free.tokens.back() > 576);
  options.max_tokens = free.tokens[15];
  const auto limited = check(file, options);
  CHECK(count_of(limited, FaultKind::kTooLong) ==
        std::count_if(free.tokens.begin(), free.tokens.end(),
                      [&](int64_t length) { return length > options.max_tokens; }));
  CHECK(count_of(limited, FaultKind::kTooLong) > 0);
}

TEST_CASE("the number of threads changes no finding", "[check]") {
  const Scratch scratch;
  std::string lines = many_records(scratch, "s", 2000);
  for (int i = 0; i < 40; ++i) lines += "{\"id\": \"bad" + std::to_string(i) + "\"}\n";
  const auto file = scratch.write("a.jsonl", lines);
  CheckOptions options;
  options.images = scratch.root();
  const auto one = check(file, options);
  options.threads = 3;
  const auto three = check(file, options);
  CHECK(check_table(one) == check_table(three));
  CHECK(one.examples.size() == 10);
  CHECK(one.examples[0].index == 2000);
  CHECK(one.faulty_samples == 40);
}

TEST_CASE("a file that is no list of records is the caller's error", "[check]") {
  const Scratch scratch;
  CHECK_THAT(thrown<DataError>([&] { check(scratch.write("a.json", "[{]")); }),
             Contains("a.json: record 0"));
  CHECK_THAT(thrown<DataError>([] { check("no/such.json"); }), Contains("no/such.json"));
}

}  // namespace finer::data
