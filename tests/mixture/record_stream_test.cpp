#include "data/mixture/record_stream.h"

#include "data/record_index.h"
#include "finer/core/error.h"
#include "tests/data/scratch.h"

#include <vector>

namespace finer::data {

namespace {

using Catch::Matchers::Contains;

std::vector<std::string> all_records(const std::filesystem::path& file) {
  std::vector<std::string> records;
  RecordStream stream(file);
  for (std::string_view record; stream.next(record);) records.emplace_back(record);
  return records;
}

std::string fault_of(const std::string& text) {
  const Scratch scratch;
  const auto file = scratch.write("a.json", text);
  return thrown<DataError>([&] { all_records(file); });
}

}  // namespace

TEST_CASE("a stream gives the records that the index finds, over the borders of its pieces",
          "[stream]") {
  const Scratch scratch;
  // Records of many lengths, with brackets and escaped quotes in strings, 5 MB in all; one of 3 MB.
  std::string array = "[", lines;
  for (int i = 0; i < 4000; ++i) {
    std::string value(static_cast<size_t>(i == 77 ? 3000000 : i % 997), 'x');
    for (size_t at = 3; at + 8 < value.size(); at += 50) value.replace(at, 8, R"(\\\"]}[{)");
    const std::string record = R"({"id": )" + std::to_string(i) + R"(, "v": [")" + value + R"("]})";
    array += (i > 0 ? ",\n" : "\n") + record;
    lines += record + (i % 2 ? "\r\n" : "\n\n");
  }
  array += "\n]\n";
  for (const auto& text : {array, lines}) {
    const auto file = scratch.write("a.json", text);
    const auto records = all_records(file);
    const auto extents = index_records(text, "a.json");
    REQUIRE(records.size() == extents.size());
    bool is_equal = true;
    for (size_t i = 0; i < extents.size(); ++i) {
      is_equal = is_equal &&
                 records[i] == text.substr(extents[i].begin, extents[i].end - extents[i].begin);
    }
    CHECK(is_equal);
  }
  CHECK(all_records(scratch.write("e.json", " [ ] \n")).empty());
}

TEST_CASE("a broken file is named with the record and the byte", "[stream]") {
  CHECK_THAT(fault_of(""), Contains("a.json: is empty"));
  CHECK_THAT(fault_of("x"), Contains("a.json: starts with \"x\"; expected '['"));
  CHECK_THAT(fault_of("[{\"a\": \"b"),
             Contains("record 0 at byte 1: the file ends inside it (a string"));
  CHECK_THAT(fault_of("[{\"a\": [1}]"), Contains("expected ']', found '}'"));
  CHECK_THAT(fault_of("[{}, 3]"), Contains("record 1 at byte 5: expected a record '{...}'"));
  CHECK_THAT(fault_of("[{}"), Contains("record 1 at byte 3: the file ends here"));
  CHECK_THAT(fault_of("[{}] {}"), Contains("expected the end of the file after ']'"));
  CHECK_THAT(fault_of("[{},]"), Contains("expected a record"));
  CHECK_THAT(fault_of("{}\n[]"), Contains("record 1 at byte 3: expected a record"));
  CHECK_THAT(fault_of("[" + std::string("{\"a\":") + std::string(300, '[')),
             Contains("nested deeper than 256"));
  CHECK_THAT(thrown<DataError>([] { RecordStream("no/such.json"); }),
             Contains("no/such.json: cannot be opened"));
  CHECK_THAT(thrown<DataError>([] { RecordStream("/"); }), Contains("is not a file"));
}

TEST_CASE("a record's picture is its own key, and the record is checked", "[stream]") {
  CHECK(image_of_record(R"({"a": {"image": "x"}, "image": "b\/c.jpg"})") == "b/c.jpg");
  CHECK(image_of_record(R"({"a": "\"image\": \"x\""})").empty());
  CHECK(image_of_record(R"({"image": null})").empty());
  CHECK_THROWS_AS(image_of_record(R"({"a": 01})"), DataError);
  std::string out;
  append_compact(out, "{ \"a b\\\" \" :\n [1, \t2]}\r\n");
  CHECK(out == "{\"a b\\\" \":[1,2]}");
}

}  // namespace finer::data
