// CUB-200-2011 and NABirds, which share the form of their lists.
#include "tests/readers/set_folder.h"

#include <catch2/catch.hpp>

using namespace finer::data;  // NOLINT(google-build-using-namespace)

namespace {

SetFolder cub() {
  SetFolder set("cub-200-2011");
  set.write("classes.txt", "1 001.Black_footed_Albatross\r\n2 002.Groove_billed_Ani \r\n");
  set.write("coarse-classes.txt", "1 Albatross, Seabird\r\n2 Cuckoo\r\n");
  set.write("images.txt",
            "1 001.Black_footed_Albatross/a.jpg\n2 002.Groove_billed_Ani/b.jpg\n3 "
            "002.Groove_billed_Ani/c.jpg\n");
  set.write("image_class_labels.txt", "3 2\n1 1\n2 2\n");
  set.write("train_test_split.txt", "1 1\n2 0\n3 1\n");
  return set;
}

SetFolder nabirds() {
  SetFolder set("nabirds");
  set.write("classes.txt",
            "0 Birds\n1 Ducks, Geese, and Swans\n2 Mallard\n3 Mallard (Breeding male)\n4 "
            "Sandpipers and Allies\n"
            "5 Least Sandpiper\n");
  set.write("hierarchy.txt", "3 2\n2 1\n1 0\n4 0\n5 4\n");
  set.write("images.txt", "u-1 0003/u1.jpg\nu-2 0005/u2.jpg\n");
  set.write("image_class_labels.txt", "u-1 3\nu-2 5\n");
  set.write("train_test_split.txt", "u-1 1\nu-2 1\n");
  return set;
}

}  // namespace

TEST_CASE("CUB's lists are joined by image id, in the order of images.txt", "[readers]") {
  auto set = cub();
  const auto train = set.read();
  REQUIRE(train.size() == 2);
  CHECK(unified_line(train[0]) ==
        "{\"idx\": 0, \"basic-level-lbl\": \"Bird\", \"coarse-level-lbl\": [\"Albatross\", "
        "\"Seabird\"], "
        "\"fine-level-lbl\": [\"Black footed Albatross\"], "
        "\"img_path\": \"images/001.Black_footed_Albatross/a.jpg\", \"metadata\": {\"class\": 1}}");
  CHECK(train[1].img_path == "images/002.Groove_billed_Ani/c.jpg");
  CHECK(train[1].idx == 1);
  set.options.is_train = false;
  const auto test = set.read();
  REQUIRE(test.size() == 1);
  CHECK(test[0].idx == 0);
  CHECK(test[0].coarse == Labels{"Cuckoo"});
}

TEST_CASE("bounding boxes are kept as the file has them", "[readers]") {
  const auto set = cub();
  set.write("bounding_boxes.txt", "1 60.0 27.5 325.0 304.0\n2 1 2 3 4\n3 1 2 3 4\n");
  CHECK(set.read()[0].metadata == "{\"class\": 1, \"box_xywh\": [60, 27.5, 325, 304]}");
  set.write("bounding_boxes.txt", "1 60.0 nan 325.0 304.0\n2 1 2 3 4\n3 1 2 3 4\n");
  CHECK(set.fault() == "bounding_boxes.txt:1: a side of the box is \"nan\"; expected a number");
  set.write("bounding_boxes.txt", "1 60.0 27.5 325.0\n");
  CHECK(set.fault() == "bounding_boxes.txt:1: a side of the box is \"\"; expected a number");
}

TEST_CASE("an image that one list leaves out or gives twice is named", "[readers]") {
  const auto set = cub();
  set.write("image_class_labels.txt", "1 1\n3 2\n");
  CHECK(set.fault() ==
        "image_class_labels.txt: image \"2\" of images.txt has no label (2 lines for 3 images)");
  set.write("image_class_labels.txt", "1 1\n3 2\n3 2\n2 2\n");
  CHECK(set.fault() == "image_class_labels.txt:3: image \"3\" was there before");
  set.write("image_class_labels.txt", "1 1\n2 2\n3 2\n4 2\n");
  CHECK(set.fault() == "image_class_labels.txt:4: image \"4\" is not in images.txt");
  set.write("image_class_labels.txt", "1 1\n2 2\n3 7\n");
  CHECK(set.fault() == "image_class_labels.txt:3: class 7 is not in classes.txt");
  set.write("image_class_labels.txt", "1 1\n2 two\n3 2\n");
  CHECK(set.fault() ==
        "image_class_labels.txt:2: class number is \"two\"; expected a whole number from 1");
  set.write("image_class_labels.txt", "1 1\n2\n3 2\n");
  CHECK(set.fault() == "image_class_labels.txt:2: \"2\"; expected a second word");
}

TEST_CASE("faults of CUB's other lists are named by file and line", "[readers]") {
  auto set = cub();
  set.write("train_test_split.txt", "1 1\n2 2\n3 1\n");
  CHECK(set.fault() == "train_test_split.txt:2: split is \"2\"; expected 1 (train) or 0 (test)");
  set.write("train_test_split.txt", "1 1\n2 0\n");
  CHECK(set.fault() ==
        "train_test_split.txt: image \"3\" of images.txt has no split (2 lines for 3 images)");
  set = cub();
  set.write("classes.txt", "1 001.A\n1 001.B\n2 002.C\n");
  CHECK(set.fault() == "classes.txt:2: class 1 was there before");
  set.write("classes.txt", "1 Albatross\n2 002.C\n");
  CHECK(set.fault() == "classes.txt: class \"Albatross\"; expected a number, a dot and a name");
  set.write("classes.txt", "1 001.T\xFC\n2 002.C\n");
  CHECK(set.fault() == "classes.txt:1: \"1 001.T\\xfc\" is not UTF-8; convert the file to UTF-8");
}

TEST_CASE("a path that leaves the set's folder is refused", "[readers]") {
  for (const char* path : {"../x.jpg", "a/../../x.jpg", "/etc/x.jpg", "a/.."}) {
    const auto set = cub();
    set.write("images.txt", std::string("1 ") + path + "\n2 b.jpg\n3 c.jpg\n");
    CHECK(set.fault().starts_with("images.txt:1: picture \"" + std::string(path) +
                                  "\"; expected a path below"));
  }
  const auto set = cub();
  set.write("images.txt", "1 a/..b/c...jpg\n2 b.jpg\n3 c.jpg\n");
  CHECK(set.fault() == "(nothing)");
}

TEST_CASE("a list that is not there is asked for, in the folder that has it", "[readers]") {
  auto set = cub();
  std::filesystem::remove(set.root() / "train_test_split.txt");
  CHECK(set.fault().starts_with(
      "train_test_split.txt: no such file; expected the set's official files"));
  const SetFolder above("cub-200-2011");
  above.write("CUB_200_2011/classes.txt", "1 001.A\n");
  CHECK(above.fault() == "classes.txt: no such file; it is in CUB_200_2011: give that as --root");
  set.options.root = set.root() / "nowhere";
  CHECK(set.fault() == "nowhere: is no folder; --root names the folder with classes.txt");
}

TEST_CASE("a coarse-label file is asked for, or done without", "[readers]") {
  auto set = cub();
  std::filesystem::remove(set.root() / "coarse-classes.txt");
  CHECK(
      set.fault() ==
      "coarse-classes.txt: no such file; cub-200-2011 takes its coarse labels from it (a line a "
      "class, "
      "N name[, name]): give it by --coarse FILE, or go on without coarse labels by --coarse none");
  set.options.without_coarse_file = true;
  CHECK(set.read()[0].coarse.empty());
  set.options.without_coarse_file = false;
  set.options.coarse = set.write("other.txt",
                                 "\xEF\xBB\xBF"
                                 "1 Albatross\n");
  CHECK(set.read()[0].coarse == Labels{"Albatross"});
  CHECK(set.read()[1].coarse.empty());
  set.write("other.txt", "1 Albatross\n1 Bird\n");
  CHECK(set.fault() == "other.txt:2: class 1 was there before");
  set.write("other.txt", "1 Albatross\n120 Hound\n");
  CHECK(set.fault() ==
        "other.txt: has class 120, the set's last is 2; expected this set's coarse-label file");
}

TEST_CASE("NABirds' coarse label is the parent, or the grandparent above the same species",
          "[readers]") {
  const auto records = nabirds().read();
  REQUIRE(records.size() == 2);
  CHECK(records[0].fine == Labels{"Mallard"});
  CHECK(records[0].coarse == Labels{"Ducks", "Geese", "Swans"});
  CHECK(records[0].metadata ==
        "{\"class\": 3, \"name\": \"Mallard (Breeding male)\", "
        "\"taxonomy\": [\"Birds\", \"Ducks, Geese, and Swans\", \"Mallard\"]}");
  CHECK(records[1].coarse == Labels{"Sandpipers", "Allies"});
  CHECK(records[1].img_path == "images/0005/u2.jpg");
}

TEST_CASE("a hierarchy that is none is refused", "[readers]") {
  const auto set = nabirds();
  set.write("hierarchy.txt", "3 2\n2 1\n1 3\n5 4\n");
  CHECK(set.fault() == "hierarchy.txt: class 3 is its own ancestor");
  set.write("hierarchy.txt", "2 1\n1 0\n5 4\n");
  CHECK(set.fault() ==
        "hierarchy.txt: class 3 (\"Mallard (Breeding male)\") has pictures and no parent");
  set.write("hierarchy.txt", "3 2\n3 1\n");
  CHECK(set.fault() == "hierarchy.txt:2: class 3 has a parent already");
  set.write("hierarchy.txt", "3 99\n");
  CHECK(set.fault() == "hierarchy.txt:1: class 99 is not in classes.txt");
}
