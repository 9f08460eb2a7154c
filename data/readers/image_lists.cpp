#include "data/readers/image_lists.h"

#include "data/readers/list_file.h"
#include "finer/core/error.h"
#include "finer/core/quote.h"

#include <functional>

namespace finer::data {

namespace {

using ImageIds = std::unordered_map<std::string, size_t>;

// Reads a list that says one thing of every image of images.txt.
void read_of_each_image(const std::filesystem::path& root, const std::string& name,
                        const ImageIds& ids, const std::vector<std::string>& ids_in_order,
                        const char* what,
                        const std::function<void(size_t, const ListLine&)>& visit) {
  std::vector<bool> seen(ids.size());
  size_t count = 0;
  read_list(root, name, [&](const ListLine& line) {
    const auto found = ids.find(std::string(line.word));
    if (found == ids.end()) {
      throw DataError(line.where + ": image " + quote(line.word) + " is not in images.txt");
    }
    if (seen[found->second]) {
      throw DataError(line.where + ": image " + quote(line.word) + " was there before");
    }
    seen[found->second] = true;
    ++count;
    visit(found->second, line);
  });
  if (count == ids.size()) return;
  size_t missing = 0;
  while (seen[missing]) ++missing;
  throw DataError((root / name).string() + ": image " + quote(ids_in_order[missing]) +
                  " of images.txt has no " + what + " (" + std::to_string(count) + " lines for " +
                  std::to_string(ids.size()) + " images)");
}

}  // namespace

ImageLists ImageLists::load(const std::filesystem::path& root, int64_t least_class) {
  ImageLists lists;
  ImageIds ids;
  std::vector<std::string> ids_in_order;
  read_list(root, "classes.txt", [&](const ListLine& line) {
    const int64_t number = whole_number(line.word, line.where, "class number", least_class);
    if (!lists.class_names.emplace(number, line.rest).second) {
      throw DataError(line.where + ": class " + std::to_string(number) + " was there before");
    }
  });
  read_list(root, "images.txt", [&](const ListLine& line) {
    check_picture_path(line.rest, line.where);
    if (!ids.emplace(line.word, lists.images.size()).second) {
      throw DataError(line.where + ": image " + quote(line.word) + " was there before");
    }
    ids_in_order.emplace_back(line.word);
    lists.images.push_back({.path = std::string(line.rest)});
  });
  read_of_each_image(root, "image_class_labels.txt", ids, ids_in_order, "label",
                     [&](size_t image, const ListLine& line) {
                       const int64_t number =
                           whole_number(line.rest, line.where, "class number", least_class);
                       if (lists.class_names.find(number) == lists.class_names.end()) {
                         throw DataError(line.where + ": class " + std::to_string(number) +
                                         " is not in classes.txt");
                       }
                       lists.images[image].class_number = number;
                     });
  read_of_each_image(root, "train_test_split.txt", ids, ids_in_order, "split",
                     [&](size_t image, const ListLine& line) {
                       if (line.rest != "0" && line.rest != "1") {
                         throw DataError(line.where + ": split is " + quote(line.rest) +
                                         "; expected 1 (train) or 0 (test)");
                       }
                       lists.images[image].is_train = line.rest == "1";
                     });
  if (std::filesystem::exists(root / "bounding_boxes.txt")) {
    read_of_each_image(
        root, "bounding_boxes.txt", ids, ids_in_order, "box",
        [&](size_t image, const ListLine& line) { lists.images[image].box = read_box(line); });
  }
  return lists;
}

}  // namespace finer::data
