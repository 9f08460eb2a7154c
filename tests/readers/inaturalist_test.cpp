#include "tests/readers/set_folder.h"

#include <catch2/catch.hpp>

using namespace finer::data;  // NOLINT(google-build-using-namespace)

namespace {

const std::string kImages =
    "\"images\": [{\"id\": 9, \"width\": 4, \"file_name\": \"train/00000_A/x.jpg\", \"latitude\": "
    "null}, "
    "{\"file_name\": \"train/00001_B/y.jpg\", \"id\": 2}, {\"id\": 0, \"file_name\": "
    "\"train/00000_A/z.jpg\"}]";
const std::string kAnnotations =
    "\"annotations\": [{\"id\": 5, \"image_id\": 2, \"category_id\": 1}, {\"id\": 0, \"image_id\": "
    "9, "
    "\"category_id\": 0}, {\"image_id\": 0, \"category_id\": 0, \"id\": 1}]";
const std::string kCategories =
    "\"categories\": [{\"id\": 0, \"name\": \"Danaus plexippus\", \"common_name\": \"Monarch\", "
    "\"supercategory\": \"Insects\", \"kingdom\": \"Animalia\", \"family\": \"Nymphalidae\"}, "
    "{\"id\": 1, \"name\": \"Hypnum imponens\", \"common_name\": null, \"supercategory\": "
    "\"Plants\", "
    "\"family\": \"Hypnaceae\", \"genus\": \"T\\u016b\"}]";

SetFolder nature(const std::string& json) {
  SetFolder set("inaturalist");
  set.write("train.json", json);
  set.write("coarse-classes-family.json",
            "{\"Nymphalidae\": [\"Brush-footed butterfly\", \"Butterfly\"]}");
  return set;
}

SetFolder nature() {
  return nature("{" + kImages + ", " + kAnnotations + ", " + kCategories + "}");
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

// The message about a file in which one thing is replaced.
std::string fault_with(const std::string& from, const std::string& to) {
  return nature(replaced("{" + kImages + ", " + kAnnotations + ", " + kCategories + "}", from, to))
      .fault();
}

}  // namespace

TEST_CASE("iNaturalist's records are in the order of the annotations, whatever the ids",
          "[readers]") {
  const auto records = nature().read();
  REQUIRE(records.size() == 3);
  CHECK(unified_line(records[0]) ==
        "{\"idx\": 0, \"basic-level-lbl\": \"Plants\", \"coarse-level-lbl\": [], "
        "\"fine-level-lbl\": [\"Hypnum imponens\"], \"img_path\": \"train/00001_B/y.jpg\", "
        "\"metadata\": {\"class\": 1, \"taxonomy\": {\"family\": \"Hypnaceae\", \"genus\": "
        "\"T\xC5\xAB\"}}}");
  CHECK(records[1].idx == 1);
  CHECK(records[1].img_path == "train/00000_A/x.jpg");
  CHECK(records[1].fine == Labels{"Danaus plexippus", "Monarch"});
  CHECK(records[1].coarse == Labels{"Brush-footed butterfly", "Butterfly"});
  CHECK(records[2].img_path == "train/00000_A/z.jpg");
}

TEST_CASE("the parts of iNaturalist's file come in any order", "[readers]") {
  const auto lines = [](const SetFolder& set) {
    Labels all;
    for (const auto& record : set.read()) all.push_back(unified_line(record));
    return all;
  };
  const auto expected = lines(nature());
  for (const auto& json :
       {kCategories + "," + kAnnotations + "," + kImages,
        kAnnotations + "," + kCategories + "," + kImages,
        "\"info\": {\"a\": [1, {}]}, " + kImages + "," + kCategories + "," + kAnnotations}) {
    CHECK(lines(nature("{" + json + "}")) == expected);
  }
}

TEST_CASE("val.json is iNaturalist's test split", "[readers]") {
  auto set = nature();
  set.options.is_train = false;
  CHECK(set.fault().starts_with("val.json: no such file"));
  std::filesystem::rename(set.root() / "train.json", set.root() / "val.json");
  CHECK(set.read().size() == 3);
}

TEST_CASE("an image without a label, ids that come twice or lead nowhere are named", "[readers]") {
  CHECK(fault_with("{\"id\": 5, \"image_id\": 2, \"category_id\": 1}, ", "") ==
        "train.json: images: id 2 has no annotation (3 images, 2 annotations)");
  CHECK(fault_with("\"id\": 9", "\"id\": 2") == "train.json: images: id 2 comes twice");
  CHECK(fault_with("\"id\": 5", "\"id\": 1") == "train.json: annotations: id 1 comes twice");
  CHECK(fault_with("\"image_id\": 2", "\"image_id\": 9") ==
        "train.json: annotations[1]: image_id 9 has an annotation already; expected one a picture");
  CHECK(fault_with("\"image_id\": 2", "\"image_id\": 4") ==
        "train.json: annotations[0]: image_id 4 is not in images");
  CHECK(fault_with("\"category_id\": 1", "\"category_id\": 7") ==
        "train.json: annotations[0]: category_id 7 is not in categories");
  CHECK(fault_with("\"id\": 1, \"name\"", "\"id\": 0, \"name\"")
            .ends_with("categories[1]: id 0 was there before"));
  CHECK(fault_with("\"category_id\": 1", "\"category\": 1")
            .ends_with("annotations[0] has no category_id"));
  CHECK(fault_with("\"supercategory\": \"Plants\"", "\"x\": 0")
            .ends_with("categories[1] has no supercategory"));
  CHECK(fault_with("train/00001_B/y.jpg", "train/../../y.jpg")
            .ends_with("images[1].file_name is \"train/../../y.jpg\"; expected a path below the "
                       "set's folder, "
                       "without \"..\""));
  CHECK(nature("{" + kImages + "," + kCategories + "}").fault() ==
        "train.json: has no \"annotations\"");
  CHECK(nature("{" + kImages + "," + kImages + "}").fault().ends_with("images was there before"));
}

TEST_CASE("JSON cut short anywhere is one line with its byte", "[readers]") {
  const std::string whole = "{" + kImages + ", " + kAnnotations + ", " + kCategories + "}";
  for (size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    const std::string fault = nature(whole.substr(0, size)).fault();
    CHECK(fault.starts_with("train.json: byte "));
    CHECK(fault.find('\n') == std::string::npos);
  }
}

TEST_CASE("iNaturalist's family file is asked for, checked, or done without", "[readers]") {
  auto set = nature();
  set.write("coarse-classes-family.json", "{\"Nymphalidae\": \"Butterfly\"}");
  CHECK(set.fault() == "coarse-classes-family.json: byte 16: \"\\\"\" is there; expected an array");
  set.write("coarse-classes-family.json", "{\"A\": [], \"A\": []}");
  CHECK(set.fault().ends_with("family \"A\" was there before"));
  std::filesystem::remove(set.root() / "coarse-classes-family.json");
  CHECK(set.fault().starts_with("coarse-classes-family.json: no such file; inaturalist takes"));
  set.options.without_coarse_file = true;
  CHECK(set.read()[1].coarse.empty());
}
