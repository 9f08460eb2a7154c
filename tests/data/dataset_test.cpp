#include "data/dataset.h"

#include "finer/core/error.h"
#include "tests/data/scratch.h"

#include <sys/stat.h>

#include <set>
#include <thread>
#include <vector>

namespace finer::data {

namespace {

std::string record(const std::string& id, const std::string& answer) {
  return R"({"id": ")" + id +
         R"(", "conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": ")" +
         answer + R"("}]})";
}

}  // namespace

TEST_CASE("records are grouped by their picture, wherever they stand", "[data]") {
  const Scratch scratch;
  std::string lines;
  for (const char* image : {"a.png", "b.png", "a.png", "", "a.png", "b.png", ""}) {
    lines += std::string("{") + (*image ? "\"image\": \"" + std::string(image) + "\", " : "") +
             "\"conversations\": []}\n";
  }
  const auto dataset = Dataset::open(scratch.write("set.jsonl", lines));
  using Groups = std::vector<int64_t>;
  CHECK(dataset.picture_groups(8) == Groups{0, 1, 0, 2, 0, 1, 3});
  CHECK(dataset.picture_groups(2) == Groups{0, 1, 0, 2, 3, 1, 4});
  CHECK(dataset.picture_groups(1) == Groups{0, 1, 2, 3, 4, 5, 6});
}

TEST_CASE("an array and its lines are the same data set", "[data]") {
  const Scratch scratch;
  const auto array = Dataset::open(
      scratch.write("a.json", "[" + record("a", "one") + ",\n" + record("b", "two") + "]"));
  const auto lines = Dataset::open(
      scratch.write("a.jsonl", record("a", "one") + "\n" + record("b", "two") + "\n"));
  for (const auto* dataset : {&array, &lines}) {
    REQUIRE(dataset->size() == 2);
    CHECK(dataset->read(1).id == "b");
    CHECK(dataset->read(1).turns[1].value == "two");
    CHECK(dataset->read(0).turns[1].value == "one");
  }
  CHECK(array.path() == scratch.root() / "a.json");
}

TEST_CASE("a faulty record is named with file, index and id when it is read, not before",
          "[data]") {
  const Scratch scratch;
  const auto path = scratch.write(
      "a.json", "[" + record("a", "one") + R"(, {"id": "b\n2", "conversations": [{"from":
      "human", "value": "Q"}, {"from": "gpt"}]}, {"id": nul}])");
  const auto dataset = Dataset::open(path);
  REQUIRE(dataset.size() == 3);
  CHECK(dataset.read(0).id == "a");
  CHECK(thrown<DataError>([&] { dataset.read(1); }) ==
        path.string() + ": record 1 (id \"b\\n2\"): conversations[1].value is missing");
  CHECK_THAT(thrown<DataError>([&] { dataset.read(2); }),
             Catch::StartsWith(path.string() + ": record 2: is not valid JSON at byte "));
}

TEST_CASE("files that are no data set are refused with their path", "[data]") {
  const Scratch scratch;
  const auto refused = [](const std::filesystem::path& path) {
    return thrown<DataError>([&] { Dataset::open(path); });
  };
  const auto missing = scratch.root() / "missing.json";
  CHECK(refused(missing) == missing.string() + ": cannot be opened: No such file or directory");
  CHECK(refused(scratch.root()) ==
        scratch.root().string() + ": is a folder; expected a JSON or JSONL file");
  const auto empty = scratch.write("empty.json", "");
  CHECK(refused(empty) ==
        empty.string() + ": is empty; expected a JSON array of records, or JSONL");
  const auto cut = scratch.write("cut.json", "[{}, {\"a\": ");
  CHECK(refused(cut) == cut.string() + ": record 1 at byte 5 (line 1): the file ends inside it");
  const auto pipe = scratch.root() / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK(refused(pipe) == pipe.string() + ": is not a file");
}

TEST_CASE("the content hash tells any changed byte, and the length", "[data]") {
  const Scratch scratch;
  const std::string base = "[" + record("a", std::string(90, 'x')) + "]";
  const auto hash = [&](const std::string& bytes) {
    return Dataset::open(scratch.write("h.json", bytes)).content_hash();
  };
  std::set<uint64_t> seen{hash(base)};
  CHECK(hash(base) == *seen.begin());
  size_t variants = 1;
  for (size_t at = base.find('x'); at <= base.rfind('x'); ++at, ++variants) {
    std::string changed = base;
    changed[at] = 'y';
    seen.insert(hash(changed));
  }
  for (size_t blanks = 1; blanks < 70; ++blanks, ++variants)
    seen.insert(hash(base + std::string(blanks, ' ')));
  CHECK(seen.size() == variants);
}

TEST_CASE("two equal flips in upper bits of the same lane do not cancel in the hash", "[data]") {
  const Scratch scratch;
  std::string one = "[" + record("a", std::string(200, 'x')) + "]", two = one;
  const size_t at = one.find('x') / 32 * 32 + 32 + 7;  // the top byte of a word of the first lane
  two[at] = 'X';
  two[at + 32] = 'X';
  CHECK(Dataset::open(scratch.write("1.json", one)).content_hash() !=
        Dataset::open(scratch.write("2.json", two)).content_hash());
}

TEST_CASE("many threads read one data set", "[data]") {
  const Scratch scratch;
  std::string lines;
  for (int i = 0; i < 500; ++i)
    lines += record(std::to_string(i), "answer " + std::to_string(i)) + "\n";
  const auto dataset = Dataset::open(scratch.write("a.jsonl", lines));
  std::vector<int> good(4, 0);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int64_t i = 0; i < dataset.size(); ++i) {
        good[static_cast<size_t>(t)] +=
            dataset.read(i).turns[1].value == "answer " + std::to_string(i);
      }
      dataset.content_hash();
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(good == std::vector<int>(4, 500));
}

}  // namespace finer::data
