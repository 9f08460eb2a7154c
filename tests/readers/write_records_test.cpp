#include "data/readers/write_records.h"

#include "finer/core/error.h"
#include "tests/readers/set_folder.h"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace finer::data;  // NOLINT(google-build-using-namespace)

namespace {

// A 2 x 1 BMP.
const std::string kBmp =
    std::string("BM>\0\0\0\0\0\0\0006\0\0\0(\0\0\0\2\0\0\0\1\0\0\0\1\0\30\0\0\0\0\0\10\0\0\0", 38) +
    std::string(16, '\0') + std::string("\0\0\377\377\377\377\0\0", 8);

struct Birds {
  Birds() {
    set.write("classes.txt", "1 001.Albatross\n2 002.Ani\n");
    set.write("coarse-classes.txt", "1 Seabird\n");
    set.write("images.txt", "1 a/1.bmp\n2 b/2.bmp\n3 b/3.bmp\n4 b/4.bmp\n5 b/5.bmp\n");
    set.write("image_class_labels.txt", "1 1\n2 2\n3 2\n4 2\n5 2\n");
    set.write("train_test_split.txt", "1 1\n2 1\n3 1\n4 1\n5 1\n");
    set.write("images/a/1.bmp", kBmp);
    set.write("images/b/2.bmp", kBmp.substr(0, 30));
    set.write("images/b/4.bmp", kBmp);
    set.write("images/b/5.bmp", "no picture");
    options.set = "cub-200-2011";
    options.reader.root = set.root();
    options.out = out.root() / "out.jsonl";
  }
  std::string fault() const {
    return thrown<finer::DataError>([&] { write_records(options); });
  }
  Scratch set, out;
  RecordsOptions options;
};

bool has_line(const RecordsReport& report, const std::string& line) {
  const auto lines = report.lines();
  return std::find(lines.begin(), lines.end(), line) != lines.end();
}

}  // namespace

TEST_CASE("the table counts classes, pictures, coarse labels and files", "[records]") {
  Birds birds;
  const auto report = write_records(birds.options);
  CHECK(read_unified(birds.options.out).size() == 5);
  CHECK(report.num_classes == 2);
  CHECK(report.min_images == 1);
  CHECK(report.median_images == 2.5);
  CHECK(report.max_images == 4);
  CHECK(has_line(report, "  images a class            1 min, 2.5 median, 4 max"));
  CHECK(has_line(report, "  coarse labels missing     4 images, 1 classes"));
  CHECK(has_line(report, "  files missing             1"));
  CHECK(has_line(report, "missing: images/b/3.bmp"));
  CHECK(report.broken.empty());
}

TEST_CASE("broken pictures are listed in the set's order, by any number of threads", "[records]") {
  for (const int threads : {1, 4}) {
    Birds birds;
    birds.options.verify_images = true;
    birds.options.num_threads = threads;
    const auto report = write_records(birds.options);
    REQUIRE(report.broken.size() == 2);
    CHECK(report.broken[0].find("images/b/2.bmp: ") != std::string::npos);
    CHECK(report.broken[1].find("images/b/5.bmp: ") != std::string::npos);
    CHECK(has_line(report, "  files broken              2"));
    CHECK(report.num_missing == 1);
  }
}

TEST_CASE("classes without attributes are listed and counted", "[records]") {
  Birds birds;
  birds.options.attributes = {
      birds.out.write("attributes.json",
                      "[{\"id\": \"1\", \"name\": \"ALBATROSS\", \"attr_binomial\": {\"required\": "
                      "[\"long wings\"], \"likely\": []}}]")};
  const auto report = write_records(birds.options);
  CHECK(report.without_attributes == Labels{"Ani"});
  CHECK(has_line(report, "no attributes: Ani"));
  CHECK(has_line(report, "  without attributes        1 classes"));
}

TEST_CASE("a folder as the output gets the usual name", "[records]") {
  Birds birds;
  birds.options.out = birds.out.root();
  CHECK(write_records(birds.options).out ==
        birds.out.root() / "unified-cub-200-2011-train-combined.jsonl");
}

TEST_CASE("an error leaves the file that was there, and nothing beside it", "[records]") {
  Birds birds;
  birds.out.write("out.jsonl", "before");
  // the fault comes late, when records have been written already
  SetFolder folder("folder");
  folder.write("A/x/1.jpg", "x");
  folder.write("A/y/more/1.jpg", "x");
  birds.options.set = "folder";
  birds.options.reader.root = folder.root();
  CHECK(birds.fault().find("a folder at this depth") != std::string::npos);
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(birds.out.root())) {
    ++files;
    CHECK(std::filesystem::file_size(entry.path()) == 6);
  }
  CHECK(files == 1);
}

TEST_CASE("options that would do nothing are refused", "[records]") {
  Birds birds;
  birds.options.reader.superordinate = "Animal";
  CHECK(birds.fault() ==
        "--superordinate: cub-200-2011 has its own; the option is for --set folder");
  birds.options.reader.superordinate = "";
  birds.options.reader.test_fraction = 0.5;
  CHECK(birds.fault() ==
        "--test-fraction: cub-200-2011 has its own split; the option is for --set folder");
  birds.options.set = "nabirds";
  birds.options.reader = {.root = birds.set.root(), .coarse = "x.txt"};
  CHECK(
      birds.fault() ==
      "--coarse \"x.txt\": nabirds takes its coarse labels from its own files; leave --coarse out");
  birds.options.set = "nabird";
  CHECK(birds.fault() == "--set \"nabird\" is no set; did you mean \"nabirds\"?");
}

TEST_CASE("a split without pictures is an error", "[records]") {
  Birds birds;
  birds.options.reader.is_train = false;
  CHECK(birds.fault().ends_with("the test split has no pictures"));
  CHECK_FALSE(std::filesystem::exists(birds.options.out));
}
