#include "data/json_text.h"

#include "finer/core/error.h"
#include "tests/data/scratch.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using finer::DataError;
using finer::data::append_json_string;
using finer::data::is_utf8;
using finer::data::JsonCursor;
using finer::data::thrown;

namespace {

// Walks all of the text; the reason it is refused, or "(nothing)".
std::string refused(const std::string& text) {
  return thrown<DataError>([&] {
    JsonCursor json(text);
    json.skip();
    json.end();
  });
}

std::string string_of(const std::string& text) {
  JsonCursor json(text);
  std::string value;
  json.string(value);
  json.end();
  return value;
}

}  // namespace

TEST_CASE("the cursor takes and refuses the same texts as nlohmann's parser", "[json]") {
  const std::string texts[] = {"{}",
                               "[]",
                               "[1,2]",
                               "[1,]",
                               "{\"a\":1,}",
                               "{\"a\" 1}",
                               "{a:1}",
                               "[1 2]",
                               "tru",
                               "true",
                               "nul",
                               "null",
                               "false",
                               "-",
                               "-1",
                               "01",
                               "1.",
                               "1.5e+7",
                               "1e",
                               ".5",
                               "+1",
                               "\"a",
                               "\"\\x\"",
                               "\"\\u12\"",
                               "\"\\u00e9\"",
                               "\"\\ud83d\\ude00\"",
                               "\"\\ud83d\"",
                               "\"\\ude00\"",
                               "\"\\ud83dx\"",
                               "\"\t\"",
                               "\"\xC3\xA9\"",
                               "\"\xC3\"",
                               "\"\xC0\x80\"",
                               "\"\xED\xA0\x80\"",
                               "\"\xF4\x90\x80\x80\"",
                               "\"\xF0\x9F\x98\x80\"",
                               "[[[]]]",
                               "[",
                               "",
                               "  ",
                               "1 2",
                               "{\"a\":{\"b\":[null,true,\"x\"]}} ",
                               "\xEF\xBB\xBF",
                               "[1]]",
                               "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
                               "--1",
                               "1e5",
                               "[,1]",
                               "{,}"};
  for (const std::string& text : texts) {
    CAPTURE(text);
    CHECK((refused(text) == "(nothing)") == nlohmann::json::accept(text));
  }
}

TEST_CASE("strings come back as nlohmann reads them", "[json]") {
  const std::string texts[] = {"\"\"", "\"plain\"", "\"a\\u00e9\\ud83d\\ude00z\"",
                               "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\xC3\xA9 and \\u0041\""};
  for (const std::string& text : texts) {
    CHECK(string_of(text) == nlohmann::json::parse(text).get<std::string>());
  }
}

TEST_CASE("a text written as a JSON string reads back as itself", "[json]") {
  for (int byte = 0; byte < 128; ++byte) {
    const std::string text = "a" + std::string(1, static_cast<char>(byte)) + "\xC3\xA9z";
    std::string written;
    append_json_string(written, text);
    CHECK(nlohmann::json::parse(written).get<std::string>() == text);
    CHECK(string_of(written) == text);
  }
}

TEST_CASE("text that is not UTF-8 is not written", "[json]") {
  std::string out;
  CHECK(thrown<DataError>([&] { append_json_string(out, "T\xFC"); }) == "\"T\\xfc\" is not UTF-8");
  CHECK_FALSE(is_utf8("\xE2\x82"));
  CHECK(is_utf8("\xE2\x82\xAC"));
}

TEST_CASE("whole numbers are taken to the ends of 64 bits and no further", "[json]") {
  const auto read = [](const std::string& text) { return JsonCursor(text).integer(); };
  CHECK(read("-9223372036854775808") == INT64_MIN);
  CHECK(read(" 9223372036854775807") == INT64_MAX);
  CHECK_THROWS_AS(read("9223372036854775808"), DataError);
  CHECK_THROWS_AS(read("1.0"), DataError);
  CHECK_THROWS_AS(read("1e3"), DataError);
  CHECK_THROWS_AS(read("\"1\""), DataError);
}

TEST_CASE("a value that is passed over is checked, and as deep as it may be", "[json]") {
  CHECK(refused(std::string(60, '[') + std::string(60, ']')) == "(nothing)");
  CHECK(refused(std::string(100000, '[')) == "byte 65: nested more than 64 deep");
  CHECK(refused("{\"a\": [1, 2}") == "byte 11: \"}\" is there; expected \",\" or \"]\"");
  CHECK(refused("{\"a\": \"x") == "byte 8: the text ends inside a string");
}
