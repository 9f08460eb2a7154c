#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <unordered_map>
#include <vector>

namespace finer::data {

/// One picture of the lists that CUB-200-2011 and NABirds share.
struct ListedImage {
  std::string path;          // below images/
  int64_t class_number = 0;  // as in classes.txt
  bool is_train = false;
  std::string box;  // "[x, y, width, height]", empty without bounding_boxes.txt
};

/// images.txt, image_class_labels.txt, train_test_split.txt and classes.txt of one folder, and
/// bounding_boxes.txt where it is there.
struct ImageLists {
  std::vector<ListedImage> images;  // in the order of images.txt
  std::unordered_map<int64_t, std::string> class_names;

  /// `least_class`: the first number of classes.txt.
  /// Throws: DataError naming file and line: an id twice or in one list only, a class without a
  /// name, a split that is not 0 or 1, a path that leaves the folder.
  static ImageLists load(const std::filesystem::path& root, int64_t least_class);
};

}  // namespace finer::data
