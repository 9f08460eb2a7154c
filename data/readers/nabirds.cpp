// NABirds: birds of North America, 555 visual categories at the leaves of a hierarchy.
// Source: the README of the official download nabirds.tar.gz.
#include "data/json_text.h"
#include "data/readers/image_lists.h"
#include "data/readers/label_text.h"
#include "data/readers/list_file.h"
#include "data/readers/reader.h"
#include "finer/core/error.h"
#include "finer/core/quote.h"

#include <algorithm>
#include <unordered_map>

namespace finer::data {

namespace {

using BirdParents = std::unordered_map<int64_t, int64_t>;

BirdParents read_hierarchy(const ReaderOptions& options, const ImageLists& lists) {
  BirdParents parents;
  read_list(options.root, "hierarchy.txt", [&](const ListLine& line) {
    const int64_t child = whole_number(line.word, line.where, "class number", 0);
    const int64_t parent = whole_number(line.rest, line.where, "parent's class number", 0);
    for (const int64_t number : {child, parent}) {
      if (lists.class_names.find(number) == lists.class_names.end()) {
        throw DataError(line.where + ": class " + std::to_string(number) +
                        " is not in classes.txt");
      }
    }
    if (!parents.emplace(child, parent).second) {
      throw DataError(line.where + ": class " + std::to_string(child) + " has a parent already");
    }
  });
  return parents;
}

// The names above a class, the nearest first.
std::vector<std::string> bird_ancestors(int64_t number, const BirdParents& parents,
                                        const ImageLists& lists, const ReaderOptions& options) {
  const std::string file = (options.root / "hierarchy.txt").string();
  std::vector<std::string> names;
  auto parent = parents.find(number);
  if (parent == parents.end()) {
    throw DataError(file + ": class " + std::to_string(number) + " (" +
                    quote(lists.class_names.at(number)) + ") has pictures and no parent");
  }
  for (; parent != parents.end(); parent = parents.find(parent->second)) {
    if (names.size() > parents.size()) {
      throw DataError(file + ": class " + std::to_string(number) + " is its own ancestor");
    }
    names.push_back(lists.class_names.at(parent->second));
  }
  return names;
}

// What all pictures of one class share.
struct BirdClass {
  std::vector<std::string> coarse, fine;
  std::string metadata;  // without its closing bracket
};

BirdClass describe_bird(int64_t number, const BirdParents& parents, const ImageLists& lists,
                        const ReaderOptions& options) {
  const std::string& name = lists.class_names.at(number);
  const auto ancestors = bird_ancestors(number, parents, lists, options);
  BirdClass bird;
  bird.fine = {without_suffix(name)};
  for (const std::string& above : ancestors) {
    if (without_suffix(above) == bird.fine[0]) continue;  // "Mallard" above "Mallard (Male)"
    bird.coarse = split_names(above);
    break;
  }
  bird.metadata = "{\"class\": " + std::to_string(number) + ", \"name\": ";
  append_json_string(bird.metadata, name);
  bird.metadata += ", \"taxonomy\": [";
  for (size_t i = ancestors.size(); i-- > 0;) {
    append_json_string(bird.metadata, ancestors[i]);
    bird.metadata += i > 0 ? ", " : "]";
  }
  return bird;
}

}  // namespace

void read_nabirds(const ReaderOptions& options, const RecordSink& sink) {
  const ImageLists lists = ImageLists::load(options.root, 0);
  const BirdParents parents = read_hierarchy(options, lists);
  std::unordered_map<int64_t, BirdClass> classes;
  UnifiedRecord record;
  record.superordinate = "Bird";
  for (const ListedImage& image : lists.images) {
    if (image.is_train != options.is_train) continue;
    auto found = classes.find(image.class_number);
    if (found == classes.end()) {
      found = classes
                  .emplace(image.class_number,
                           describe_bird(image.class_number, parents, lists, options))
                  .first;
    }
    const BirdClass& bird = found->second;
    record.coarse = bird.coarse;
    record.fine = bird.fine;
    record.img_path = "images/" + image.path;
    record.metadata = bird.metadata;
    if (!image.box.empty()) record.metadata += ", \"box_xywh\": " + image.box;
    record.metadata += "}";
    sink(record);
    ++record.idx;
  }
}

}  // namespace finer::data
