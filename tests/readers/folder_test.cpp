#include "tests/readers/set_folder.h"

#include <catch2/catch.hpp>

#include <set>

using namespace finer::data;  // NOLINT(google-build-using-namespace)

namespace {

SetFolder garden() {
  SetFolder set("folder");
  for (int i = 0; i < 10; ++i) set.write("Birds/Blue_Tit/" + std::to_string(i) + ".jpg", "x");
  set.write("Birds/T\xC5\xAB\xC4\xAB/one.PNG", "x");
  set.write("Insects/Monarch/a.webp", "x");
  set.write("Insects/Monarch/b.jpeg", "x");
  set.write("Insects/Monarch/notes.txt", "x");
  set.write("Insects/.cache/a.jpg", "x");
  set.write("README.md", "x");
  set.options.superordinate = "Animal";
  return set;
}

std::set<std::string> paths(const SetFolder& set) {
  std::set<std::string> all;
  for (const auto& record : set.read()) all.insert(record.img_path);
  return all;
}

}  // namespace

TEST_CASE("a folder's classes are its folders, in byte order", "[readers]") {
  auto set = garden();
  set.options.test_fraction = 0;
  const auto records = set.read();
  REQUIRE(records.size() == 13);
  CHECK(unified_line(records[0]) ==
        "{\"idx\": 0, \"basic-level-lbl\": \"Animal\", \"coarse-level-lbl\": [\"Birds\"], "
        "\"fine-level-lbl\": [\"Blue Tit\"], \"img_path\": \"Birds/Blue_Tit/0.jpg\", \"metadata\": "
        "{\"class\": 1}}");
  CHECK(records[10].fine == Labels{"T\xC5\xAB\xC4\xAB"});
  CHECK(records[12].img_path == "Insects/Monarch/b.jpeg");
  CHECK(records[12].metadata == "{\"class\": 3}");
  set.options.superordinate = "";
  set.options.root = set.root() / "Birds/..";
  CHECK(set.read()[0].superordinate == set.root().filename().string());
}

TEST_CASE("both splits have every class of two pictures, and each picture once", "[readers]") {
  auto set = garden();
  const auto train = paths(set);
  set.options.is_train = false;
  const auto test = paths(set);
  CHECK(train.size() == 10);  // 8 of 10, the only one, 1 of 2
  CHECK(test.size() == 3);
  CHECK(train.count("Birds/T\xC5\xAB\xC4\xAB/one.PNG") == 1);
  for (const auto& path : test) CHECK(train.count(path) == 0);
}

TEST_CASE("another class moves no picture, another picture at most one", "[readers]") {
  auto set = garden();
  const auto before = paths(set);
  set.write("Birds/Wren/a.jpg", "x");
  auto after = paths(set);
  after.erase("Birds/Wren/a.jpg");
  CHECK(after == before);
  set.write("Birds/Blue_Tit/new.jpg", "x");
  size_t moved = 0;
  const auto with_new = paths(set);
  for (const auto& path : before) moved += 1 - with_new.count(path);
  CHECK(moved <= 1);
}

TEST_CASE("folders of another depth are refused", "[readers]") {
  auto set = garden();
  set.write("Birds/x.jpg", "x");
  CHECK(set.fault() == "Birds/x.jpg: a picture at this depth; expected ROOT/COARSE/FINE/PICTURE");
  set = garden();
  set.write("Birds/Blue_Tit/more/x.jpg", "x");
  CHECK(set.fault() ==
        "Birds/Blue_Tit/more: a folder at this depth; expected ROOT/COARSE/FINE/PICTURE");
  set = garden();
  std::filesystem::create_directories(set.root() / "Birds/Empty");
  CHECK(set.fault() == "Birds/Empty: has no pictures");
  CHECK(SetFolder("folder").fault().find("has no class folders") != std::string::npos);
}
