#include "data/token_lines.h"

#include "finer/core/error.h"
#include "tests/data/small_world.h"

#include <nlohmann/json.hpp>

namespace finer::data {

namespace {

std::vector<nlohmann::json> lines_of(const Dataset& dataset, const Tokenizer& tokenizer,
                                     int64_t threads, TokenCounts* counts = nullptr) {
  std::vector<nlohmann::json> lines;
  const auto found = write_token_lines(dataset, tokenizer, ConversationKind::kVicunaV1, threads,
                                       [&](std::string_view line) {
                                         REQUIRE(line.back() == '\n');
                                         lines.push_back(nlohmann::json::parse(line));
                                       });
  if (counts) *counts = found;
  return lines;
}

}  // namespace

TEST_CASE("token lines hold what the tokenizer gives, ids and pictures as in the file", "[data]") {
  const Scratch scratch;
  const auto tokenizer = small_tokenizer();
  const auto dataset = Dataset::open(scratch.write(
      "a.jsonl",
      record_text("a\\\"1", "b/\\u00e9.jpg", "What?", "A blue jay.") + "\n" +
          R"({"id": 7, "conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]})" +
          "\n" +
          R"({"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]})"));
  TokenCounts counts;
  const auto lines = lines_of(dataset, tokenizer, 1, &counts);
  REQUIRE(lines.size() == 3);
  CHECK(lines[0]["id"] == "a\"1");
  CHECK(lines[0]["image"] == "b/\u00e9.jpg");
  CHECK(lines[1]["id"] == 7);
  CHECK_FALSE(lines[1].contains("image"));
  CHECK(lines[2]["id"] == 2);
  const auto sample = dataset.read(0);
  const auto tokens =
      tokenize_conversation(tokenizer, ConversationKind::kVicunaV1, sample.turns, true);
  CHECK(lines[0]["input_ids"].get<std::vector<int64_t>>() == tokens.input_ids);
  CHECK(lines[0]["labels"].get<std::vector<int64_t>>() == tokens.labels);
  CHECK(std::count(tokens.input_ids.begin(), tokens.input_ids.end(), kImageToken) == 1);
  CHECK(counts.samples == 3);
  size_t ids = 0;
  for (const auto& line : lines) ids += line["input_ids"].size();
  CHECK(counts.tokens == static_cast<int64_t>(ids));
  CHECK(counts.label_tokens > 3);
}

TEST_CASE("token lines do not depend on the number of threads", "[data]") {
  const Scratch scratch;
  const auto tokenizer = small_tokenizer();
  const auto dataset = Dataset::open(scratch.write("a.jsonl", many_records(scratch, "s", 700)));
  const auto alone = lines_of(dataset, tokenizer, 1);
  REQUIRE(alone.size() == 700);
  CHECK(lines_of(dataset, tokenizer, 2) == alone);
  CHECK(lines_of(dataset, tokenizer, 7) == alone);
}

TEST_CASE("of several faulty records the first is named", "[data]") {
  const Scratch scratch;
  const auto tokenizer = small_tokenizer();
  std::string text = many_records(scratch, "s", 40);
  text += R"({"id": "bad1", "conversations": []})"
          "\n"
          R"({"id": "bad2", "conversations": 1})"
          "\n";
  const auto path = scratch.write("a.jsonl", text);
  const auto dataset = Dataset::open(path);
  for (const int64_t threads : {1, 3}) {
    CHECK(
        thrown<DataError>([&] { lines_of(dataset, tokenizer, threads); }) ==
        path.string() +
            ": record 40 (id \"bad1\"): conversations is empty; expected a question and an answer");
  }
}

}  // namespace finer::data
