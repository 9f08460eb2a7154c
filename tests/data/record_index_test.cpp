#include "data/record_index.h"

#include "finer/core/error.h"
#include "finer/core/rng.h"
#include "tests/data/scratch.h"

#include <nlohmann/json.hpp>

#include <chrono>

namespace finer::data {

namespace {

std::vector<std::string> records_of(std::string_view bytes) {
  std::vector<std::string> texts;
  for (const auto& extent : index_records(bytes, "f")) {
    texts.emplace_back(bytes.substr(extent.begin, extent.end - extent.begin));
  }
  return texts;
}

std::string fault(std::string_view bytes) {
  return thrown<DataError>([&] { index_records(bytes, "f.json"); });
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("an array's records are found between their commas", "[data]") {
  CHECK(records_of("[]").empty());
  CHECK(records_of(" [ ] \n").empty());
  CHECK(records_of("[{}]") == Texts{"{}"});
  CHECK(records_of("\xef\xbb\xbf[{\"a\": 1},\r\n {\"b\": [{}, {\"c\": {}}]}]\r\n") ==
        Texts{"{\"a\": 1}", "{\"b\": [{}, {\"c\": {}}]}"});
}

TEST_CASE("lines are records when the file starts with an object", "[data]") {
  CHECK(records_of("{}") == Texts{"{}"});
  CHECK(records_of("\xef\xbb\xbf{\"a\": 1}\r\n\r\n  {\"b\": 2} \n\n") ==
        Texts{"{\"a\": 1}", "{\"b\": 2}"});
}

TEST_CASE("brackets and quotes within strings do not count", "[data]") {
  const std::string record = R"({"a": "]}{[", "b\"}": "\\", "c": "\\\"}", "d": "\\\\", "e": ""})";
  CHECK(records_of("[" + record + "," + record + "]") == Texts{record, record});
  const std::string backslashes = "{\"a\": \"" + std::string(101, '\\') + "\"}\"}";
  CHECK(records_of("[" + backslashes + "]") == Texts{backslashes});
}

TEST_CASE("holes, cuts and leftovers are named by record, byte and line", "[data]") {
  CHECK(fault("") == "f.json: is empty; expected a JSON array of records, or JSONL");
  CHECK(fault(" \n") == "f.json: is empty; expected a JSON array of records, or JSONL");
  CHECK(fault("3") ==
        "f.json: starts with '3'; expected '[' (a JSON array of records) or '{' (JSONL)");
  CHECK_THAT(fault("\x1f\x8b"), Catch::StartsWith("f.json: starts with byte 0x1f; "));
  CHECK(fault("[{},\n , {}]") ==
        "f.json: record 1 at byte 6 (line 2): expected a record '{...}', found ','");
  CHECK(fault("[{}, 3]") ==
        "f.json: record 1 at byte 5 (line 1): expected a record '{...}', found '3'");
  CHECK(fault("[{}, [{}]]") ==
        "f.json: record 1 at byte 5 (line 1): expected a record '{...}', found '['");
  CHECK(fault("[{},]") ==
        "f.json: record 1 at byte 4 (line 1): expected a record '{...}', found ']'");
  CHECK(fault("[{} {}]") == "f.json: record 1 at byte 4 (line 1): expected ',' or ']', found '{'");
  CHECK(fault("[") == "f.json: record 0 at byte 1 (line 1): the file ends here; expected a record");
  CHECK(fault("[{}") ==
        "f.json: record 1 at byte 3 (line 1): the file ends here; expected ',' or ']'");
  CHECK(fault("[{},") ==
        "f.json: record 1 at byte 4 (line 1): the file ends here; expected a record");
  CHECK(fault("[{},\n{\"a\": [1") ==
        "f.json: record 1 at byte 5 (line 2): the file ends inside it");
  CHECK(fault("[{\"a\": \"b") ==
        "f.json: record 0 at byte 1 (line 1): the file ends inside it (a string is not closed)");
  CHECK(fault("[{}] x") ==
        "f.json: record 1 at byte 5 (line 1): expected the end of the file after ']', found 'x'");
  CHECK(fault("[{\"a\": [}]") == "f.json: record 0 at byte 8 (line 1): expected ']', found '}'");
  CHECK(fault("{}\n{\"a\":\n1}") ==
        "f.json: record 1 at byte 3 (line 2): the line ends inside it; JSONL holds one whole "
        "record a line");
  CHECK(fault("{} {}") ==
        "f.json: record 1 at byte 3 (line 1): expected the end of the line, found '{'");
  CHECK(fault("{}\n[]") ==
        "f.json: record 1 at byte 3 (line 2): expected a record '{...}', found '['");
  CHECK(fault("{}\n{\"a\": 1") == "f.json: record 1 at byte 3 (line 2): the file ends inside it");
}

TEST_CASE("records nested too deeply are refused", "[data]") {
  const auto nested = [](size_t depth) {
    return "[{\"a\": " + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}]";
  };
  CHECK(records_of(nested(256)).size() == 1);
  CHECK_THAT(fault(nested(257)), Catch::Contains("nested deeper than 256"));
  CHECK_THAT(fault("[{\"a\": " + std::string(1'000'000, '[')),
             Catch::Contains("nested deeper than 256"));
}

// The oracle is the JSON parser: an array is accepted, and all of its records parse, exactly when
// the whole file parses as an array of objects; then the records are the array's elements.
TEST_CASE("a file is indexed exactly when the JSON parser takes it, whatever is done to it",
          "[data]") {
  using nlohmann::json;
  const std::string seeds[] = {
      R"([{"id": "a", "v": ["x\"]}", {"y": "\\"}]}, {"id": 2}, {}])",
      "[ {\"conversations\": [{\"from\": \"human\", \"value\": \"a\\u00e9\\n\"}]} ,\r\n\t{\"b\": "
      "[[], [1, 2.5e3]]} ]",
      R"([{"a": {"b": {"c": [true, false, null]}}}])",
  };
  const std::string alphabet = "[]{},:\"\\ \n0a\xc3\xa9\xff";
  Rng rng(20240711);
  int accepted = 0, refused = 0;
  for (int round = 0; round < 60'000; ++round) {
    std::string text = seeds[rng.below(3)];
    for (uint64_t edits = rng.below(4); edits > 0 && !text.empty(); --edits) {
      const size_t at = rng.below(text.size());
      switch (rng.below(5)) {
        case 0:
          text[at] = alphabet[rng.below(alphabet.size())];
          break;
        case 1:
          text.insert(at, 1, alphabet[rng.below(alphabet.size())]);
          break;
        case 2:
          text.erase(at, 1 + rng.below(3));
          break;
        case 3:
          text.insert(at, text.substr(rng.below(text.size()), rng.below(12)));
          break;
        default:
          text.resize(at + 1);
          break;
      }
    }
    const size_t first = text.find_first_not_of(" \n");
    if (first == std::string::npos || text[first] != '[') continue;
    const json whole = json::parse(text, nullptr, false);
    bool expected = whole.is_array();
    for (size_t i = 0; expected && i < whole.size(); ++i) expected = whole[i].is_object();

    bool found = true;
    std::vector<json> records;
    try {
      for (const auto& record : records_of(text)) {
        records.push_back(json::parse(record, nullptr, false));
        found = found && !records.back().is_discarded();
      }
    } catch (const DataError&) {
      found = false;
    }
    INFO(text);
    REQUIRE(found == expected);
    if (found) REQUIRE(json(records) == whole);
    (found ? accepted : refused) += 1;
  }
  CHECK(accepted > 5'000);
  CHECK(refused > 5'000);
}

TEST_CASE("any bytes at all either index or throw, within the file", "[data]") {
  Rng rng(7);
  const std::string alphabet = "[[{{}}]],,\"\"\\\\\n a";
  for (int round = 0; round < 60'000; ++round) {
    std::string text(1, rng.below(2) ? '{' : '[');
    for (uint64_t n = rng.below(40); n > 0; --n) text += alphabet[rng.below(alphabet.size())];
    // A copy of exactly its size, so that a sanitizer sees a read past the end.
    const std::vector<char> exact(text.begin(), text.end());
    try {
      uint64_t last = 0;
      for (const auto& extent : index_records({exact.data(), exact.size()}, "f")) {
        REQUIRE(extent.begin >= last);
        REQUIRE(extent.end > extent.begin);
        REQUIRE(extent.end <= exact.size());
        last = extent.end;
      }
    } catch (const DataError&) {
    }
  }
}

TEST_CASE("indexing runs at hundreds of megabytes a second", "[.][speed]") {
  std::string compact, pretty;
  for (int i = 0; i < 200'000; ++i) {
    const std::string id = std::to_string(i);
    compact +=
        "{\"id\": \"" + id + "\", \"image\": \"coco/train2017/" + id +
        ".jpg\", \"conversations\": [{\"from\": \"human\", \"value\": \"<image>\\nWhat are the "
        "colors of the "
        "bus in the image?\"}, {\"from\": \"gpt\", \"value\": \"The bus in the image is white and "
        "red, and it "
        "is parked near the \\\"station\\\" on a sunny day with several people around.\"}]}\n";
    pretty += std::string(i ? ",\n" : "[\n") + "  {\n    \"id\": \"" + id +
              "\",\n    \"image\": \"coco/train2017/" + id +
              ".jpg\",\n    \"conversations\": [\n      {\n        \"from\": \"human\",\n        "
              "\"value\": "
              "\"<image>\\nWhat are the colors of the bus?\"\n      },\n      {\n        \"from\": "
              "\"gpt\",\n        "
              "\"value\": \"The bus in the image is white and red.\"\n      }\n    ]\n  }";
  }
  pretty += "\n]\n";
  for (const auto* text : {&compact, &pretty}) {
    const auto start = std::chrono::steady_clock::now();
    const auto count = index_records(*text, "f").size();
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const double rate = static_cast<double>(text->size()) / 1e6 / seconds;
    WARN(count << " records, " << text->size() / 1'000'000 << " MB: " << rate << " MB/s");
    CHECK(rate > 300);
  }
}

}  // namespace finer::data
