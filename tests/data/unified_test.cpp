#include "data/unified.h"

#include "finer/core/error.h"
#include "tests/data/scratch.h"

#include <catch2/catch.hpp>

using finer::DataError;
using finer::data::for_each_unified;
using finer::data::parse_unified;
using finer::data::read_unified;
using finer::data::Scratch;
using finer::data::thrown;
using finer::data::unified_line;
using finer::data::UnifiedRecord;

namespace {

const std::string kLine =
    "{\"idx\": 7, \"basic-level-lbl\": \"Birds\", \"coarse-level-lbl\": [\"Honeyeater\", \"Bird "
    "\\\"x\\\"\"], "
    "\"fine-level-lbl\": [\"Prosthemadera novaeseelandiae\", \"T\xC5\xAB\xC4\xAB\"], "
    "\"img_path\": \"train/a b/1.jpg\", \"metadata\": {\"class\": 3, \"box\": [1.5, 2e3]}}";

std::string line_with(const std::string& from, const std::string& to) {
  std::string line = kLine;
  return line.replace(line.find(from), from.size(), to);
}

std::string reason(const std::string& line) {
  return thrown<DataError>([&] { parse_unified(line); });
}

}  // namespace

TEST_CASE("a unified record reads and writes the same line", "[unified]") {
  const UnifiedRecord record = parse_unified(kLine);
  CHECK(record.idx == 7);
  CHECK(record.superordinate == "Birds");
  CHECK(record.coarse == std::vector<std::string>{"Honeyeater", "Bird \"x\""});
  CHECK(record.fine[1] == "T\xC5\xAB\xC4\xAB");
  CHECK(record.img_path == "train/a b/1.jpg");
  CHECK(record.metadata == "{\"class\": 3, \"box\": [1.5, 2e3]}");
  CHECK(unified_line(record) == kLine);
}

TEST_CASE("keys come in any order, and other keys are passed over", "[unified]") {
  const auto record = parse_unified(
      "{\"extra\": [{}], \"img_path\":\"a.jpg\",\"fine-level-lbl\":[\"x\"],\"coarse-level-lbl\":[],"
      "\"basic-level-lbl\":\"Car\",\"idx\":0}");
  CHECK(record.coarse.empty());
  CHECK(record.metadata == "{}");
}

TEST_CASE("a faulty record is refused with its reason", "[unified]") {
  CHECK(reason(line_with("\"idx\": 7, ", "")) == "has no \"idx\"");
  CHECK(reason(line_with("7", "-1")) == "idx is -1; expected 0 or more");
  CHECK(reason(line_with("7", "\"7\"")) == "byte 8: \"\\\"\" is there; expected a whole number");
  CHECK(reason(line_with("\"img_path\"", "\"imgpath\"")) == "has no \"img_path\"");
  CHECK(reason(line_with("\"metadata\": {", "\"idx\": {")) == "\"idx\" is given twice");
  CHECK(reason(line_with("train/a b/1.jpg", "")) == "img_path is empty");
  CHECK(reason(line_with("[\"Honeyeater\", \"Bird \\\"x\\\"\"]", "\"Honeyeater\"")) ==
        "byte 59: \"\\\"\" is there; expected an array");
  CHECK(reason(kLine + "x") ==
        "byte " + std::to_string(kLine.size()) + ": \"x\" is there; expected the end");
  CHECK(reason(kLine.substr(0, 100)).find("the text ends inside a string") != std::string::npos);
}

TEST_CASE("a file of records is read line by line, faults named by file and line", "[unified]") {
  const Scratch scratch;
  const auto good = scratch.write("a.jsonl", kLine + "\r\n\n" + line_with("7", "2") + "\n");
  const auto records = read_unified(good);
  REQUIRE(records.size() == 2);
  CHECK(records[1].idx == 2);

  const auto twice = scratch.write("b.jsonl", kLine + "\n" + line_with("7", "9") + "\n" + kLine);
  CHECK(thrown<DataError>([&] { read_unified(twice); }) ==
        twice.string() + ":3: idx 7 was there before");
  const auto cut = scratch.write("c.jsonl", kLine + "\n{\"idx\": 1");
  int count = 0;
  CHECK(thrown<DataError>([&] { for_each_unified(cut, [&](UnifiedRecord&&) { ++count; }); }) ==
        cut.string() + ":2: byte 9: the text ends; expected \",\" or \"}\"");
  CHECK(count == 1);
  CHECK(thrown<DataError>([&] {
          read_unified(scratch.root() / "none.jsonl");
        }).find("none.jsonl: cannot be opened: No such file") != std::string::npos);
  CHECK_THROWS_AS(read_unified(scratch.root()), DataError);
}

TEST_CASE("an idx of any size is known again", "[unified]") {
  const Scratch scratch;
  const std::string huge = line_with("7", "9223372036854775807");
  CHECK(read_unified(scratch.write("a.jsonl", huge + "\n" + kLine)).size() == 2);
  CHECK_THROWS_AS(read_unified(scratch.write("b.jsonl", huge + "\n" + huge)), DataError);
}
