// Stanford Dogs and Stanford Cars, whose lists are MATLAB files. fixtures/ is made by
// make_layouts.py --fixtures.
#include "data/readers/mat_file.h"
#include "finer/core/error.h"
#include "tests/readers/set_folder.h"

#include <catch2/catch.hpp>

#include <fstream>
#include <iterator>

using namespace finer::data;  // NOLINT(google-build-using-namespace)

namespace {

SetFolder cars(const std::string& kind = "packed") {
  SetFolder set("stanford-cars");
  set.add_fixture("cars_meta_" + kind + ".mat", "devkit/cars_meta.mat");
  set.add_fixture("cars_annos_" + kind + ".mat", "devkit/cars_train_annos.mat");
  set.write("coarse-classes.txt", "2 sedan\n");
  return set;
}

SetFolder dogs(const std::string& fixture = "dogs_list.mat") {
  SetFolder set("stanford-dogs");
  set.add_fixture(fixture, "train_list.mat");
  set.write("coarse-classes.txt", "1 Toy dog\n89 Mountain dog\n");
  return set;
}

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_CASE("cars are read from packed and plain MATLAB files, in the order of the annotations",
          "[readers]") {
  for (const char* kind : {"packed", "plain"}) {
    const auto records = cars(kind).read();
    REQUIRE(records.size() == 3);
    CHECK(unified_line(records[0]) ==
          "{\"idx\": 0, \"basic-level-lbl\": \"Car\", \"coarse-level-lbl\": [\"van\"], "
          "\"fine-level-lbl\": [\"Ram C/V Cargo Van Minivan 2012\"], \"img_path\": "
          "\"cars_train/00001.jpg\", "
          "\"metadata\": {\"class\": 3, \"box_xyxy\": [39, 116, 569, 375]}}");
    CHECK(records[1].fine == Labels{"Acura RL Sedan 2012"});
    CHECK(records[1].coarse == Labels{"sedan"});
    CHECK(records[2].fine == Labels{"Citro\xC3\xABn 2CV"});
    CHECK(records[2].coarse == Labels{"sedan"});  // from the file: its name tells nothing
  }
}

TEST_CASE("the coarse-label file of cars is asked for where a name tells no body style",
          "[readers]") {
  auto set = cars();
  std::filesystem::remove(set.root() / "coarse-classes.txt");
  CHECK(set.fault().ends_with(
      "; 1 classes have no body style in their name, \"Citro\\xc3\\xabn 2CV\" is the first"));
  set.options.without_coarse_file = true;
  CHECK(set.read()[0].coarse == Labels{"van"});
  CHECK(set.read()[2].coarse.empty());
}

TEST_CASE("annotations of cars without their labels are refused", "[readers]") {
  auto set = cars();
  set.add_fixture("cars_annos_unlabelled.mat", "devkit/cars_train_annos.mat");
  CHECK(set.fault().starts_with("devkit/cars_train_annos.mat: annotations has no field \"class\""));
  set.options.is_train = false;
  CHECK(set.fault().starts_with("cars_test_annos_withlabels.mat: no such file"));
  set.add_fixture("cars_annos_packed.mat", "cars_test_annos_withlabels.mat");
  CHECK(set.read()[0].img_path == "cars_test/00001.jpg");
}

TEST_CASE("dogs are named by their folder", "[readers]") {
  const auto records = dogs().read();
  REQUIRE(records.size() == 3);
  CHECK(unified_line(records[2]) ==
        "{\"idx\": 2, \"basic-level-lbl\": \"Dog\", \"coarse-level-lbl\": [\"Mountain dog\"], "
        "\"fine-level-lbl\": [\"Greater Swiss Mountain dog\"], "
        "\"img_path\": \"Images/n02107574-Greater_Swiss_Mountain_dog/n02107574_1001.jpg\", "
        "\"metadata\": {\"class\": 89, \"wordnet\": \"n02107574\"}}");
}

TEST_CASE("faults of the dogs' lists are named by variable and index", "[readers]") {
  CHECK(dogs("dogs_short_labels.mat").fault() ==
        "train_list.mat: file_list has 3 pictures, labels has 2 numbers");
  CHECK(dogs("dogs_half_label.mat").fault() ==
        "train_list.mat: labels(2) is 1.500000; expected a whole number");
  CHECK(dogs("dogs_escape.mat").fault() ==
        "train_list.mat: file_list{1}: picture \"../n02085620-Chihuahua/x.jpg\"; expected a path "
        "below the "
        "set's folder, without \"..\"");
  CHECK(dogs("dogs_twice.mat").fault().starts_with("train_list.mat: file_list{2}: picture"));
  CHECK(dogs("no_cells.mat").fault() == "train_list.mat: file_list is not a cell array of text");
  CHECK(dogs("cars_meta_plain.mat")
            .fault()
            .starts_with("train_list.mat: has no variable \"file_list\""));
}

TEST_CASE("MATLAB files of another version are refused in one line", "[readers]") {
  const std::string expected = "; expected a MATLAB v5 file, as the official download has";
  CHECK(dogs("version4.mat").fault() == "train_list.mat: is 51 bytes long" + expected);
  const auto set = dogs();
  std::string header = bytes_of(set.root() / "train_list.mat");
  header.replace(124, 4, std::string("\x00\x02IM", 4));
  set.write("train_list.mat", header);
  CHECK(set.fault() ==
        "train_list.mat: is a MATLAB v7.3 file (HDF5)" + expected + ": save it with -v7");
  set.write("train_list.mat", "MATLAB 7.3 MAT-file" + std::string(600, ' '));
  CHECK(set.fault() ==
        "train_list.mat: is a MATLAB v7.3 file (HDF5)" + expected + ": save it with -v7");
  set.write("train_list.mat", std::string(600, 'x'));
  CHECK(set.fault() == "train_list.mat: has no MATLAB v5 header" + expected);
  set.write("train_list.mat", "");
  CHECK(set.fault() == "train_list.mat: is 0 bytes long" + expected);
}

TEST_CASE(
    "a size in a MATLAB file that its bytes do not hold is refused before anything is allocated",
    "[readers]") {
  const auto set = cars("plain");
  std::string bytes = bytes_of(set.root() / "devkit/cars_meta.mat");
  // header, tag of the array, array flags, tag of the dimensions: 1 and 3
  const size_t at = 128 + 8 + 16 + 8;
  REQUIRE(bytes.substr(at, 8) == std::string("\1\0\0\0\3\0\0\0", 8));
  bytes.replace(at, 8, std::string("\0\0\1\0\0\1\0\0", 8));
  set.write("devkit/cars_meta.mat", bytes);
  CHECK(set.fault() == "devkit/cars_meta.mat: element 1 has fewer elements than its size says");
  bytes.replace(at, 8, std::string("\xFF\xFF\xFF\x7F\xFF\xFF\xFF\x7F", 8));
  set.write("devkit/cars_meta.mat", bytes);
  CHECK(set.fault() == "devkit/cars_meta.mat: element 1 has a size that cannot be");
}

TEST_CASE("a MATLAB file cut short at any byte is an error, never a crash", "[readers]") {
  for (const char* fixture : {"cars_annos_plain.mat", "cars_annos_packed.mat"}) {
    const auto set = cars();
    set.add_fixture(fixture, "devkit/cars_train_annos.mat");
    const auto path = set.root() / "devkit/cars_train_annos.mat";
    const std::string whole = bytes_of(path);
    const auto records = set.read().size();
    for (size_t size = 0; size < whole.size(); ++size) {
      CAPTURE(fixture, size);
      set.write("devkit/cars_train_annos.mat", std::string_view(whole).substr(0, size));
      size_t found = 0;
      const std::string message = thrown<finer::DataError>([&] { found = set.read().size(); });
      CHECK((message != "(nothing)" || (found == records && whole.size() - size < 16)));
    }
  }
}
