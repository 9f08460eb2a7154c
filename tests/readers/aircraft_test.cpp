#include "tests/readers/set_folder.h"

#include <catch2/catch.hpp>

using namespace finer::data;  // NOLINT(google-build-using-namespace)

namespace {

SetFolder aircraft() {
  SetFolder set("fgvc-aircraft");
  set.write("data/images_variant_trainval.txt", "1025794 707-320 \n0056978 F/A-18\n1019011 DC-3\n");
  set.write("data/images_family_trainval.txt",
            "0056978 F/A-18\n1025794 Boeing 707\n1019011 DC-3\n");
  set.write("data/images_manufacturer_trainval.txt",
            "1025794 Boeing\r\n0056978 McDonnell Douglas\r\n1019011 Douglas Aircraft Company\r\n");
  return set;
}

}  // namespace

TEST_CASE("family and variant of the same word are one label, slash and all", "[readers]") {
  const auto set = aircraft();
  const auto records = set.read();
  REQUIRE(records.size() == 3);
  CHECK(unified_line(records[0]) ==
        "{\"idx\": 0, \"basic-level-lbl\": \"Airplane\", \"coarse-level-lbl\": [\"Boeing\"], "
        "\"fine-level-lbl\": [\"Boeing 707\", \"707-320\"], \"img_path\": "
        "\"data/images/1025794.jpg\", "
        "\"metadata\": {}}");
  CHECK(records[1].fine == Labels{"F/A-18"});
  CHECK(records[1].coarse == Labels{"McDonnell Douglas"});
  CHECK(records[1].img_path == "data/images/0056978.jpg");
  CHECK(records[2].fine == Labels{"DC-3"});
}

TEST_CASE("variants.txt numbers the classes, images_box.txt gives the boxes", "[readers]") {
  const auto set = aircraft();
  set.write("data/variants.txt", "707-320\nDC-3\nF/A-18\n");
  set.write("data/images_box.txt", "0056978 1 2 30 40\n");
  CHECK(set.read()[0].metadata == "{\"class\": 1}");
  CHECK(set.read()[1].metadata == "{\"class\": 3, \"box_xyxy\": [1, 2, 30, 40]}");
  set.write("data/variants.txt", "707-320\nDC-3\n");
  CHECK(set.fault() ==
        "data/images_variant_trainval.txt: variant \"F/A-18\" is not in data/variants.txt");
}

TEST_CASE("aircraft lists that name other pictures disagree", "[readers]") {
  auto set = aircraft();
  set.write("data/images_family_trainval.txt", "0056978 F/A-18\n1025794 Boeing 707\n");
  CHECK(set.fault() ==
        "data/images_family_trainval.txt: picture \"1019011\" of data/images_variant_trainval.txt "
        "has no "
        "label (3 and 2 pictures)");
  set.write("data/images_family_trainval.txt",
            "0056978 F/A-18\n1025794 Boeing 707\n1019011 DC-3\n77 DC-3\n");
  CHECK(set.fault() ==
        "data/images_variant_trainval.txt: picture \"77\" of data/images_family_trainval.txt has "
        "no label "
        "(3 and 4 pictures)");
  set.write("data/images_variant_trainval.txt", "1025794 707-320\n1025794 707-320\n");
  CHECK(set.fault() == "data/images_variant_trainval.txt:2: picture \"1025794\" was there before");
  set.write("data/images_variant_trainval.txt", "../1025794 707-320\n");
  CHECK(set.fault() ==
        "data/images_variant_trainval.txt:1: picture id is \"../1025794\"; expected digits, as in "
        "\"1025794 707-320\"");
  set.options.is_train = false;
  CHECK(set.fault().starts_with("data/images_variant_test.txt: no such file"));
}
