// Stanford Cars: 196 makes, models and years.
// Source: devkit/README.txt of the official download car_devkit.tgz.
#include "data/readers/coarse_labels.h"
#include "data/readers/label_text.h"
#include "data/readers/list_file.h"
#include "data/readers/mat_file.h"
#include "finer/core/error.h"
#include "finer/core/quote.h"

#include <algorithm>
#include <cctype>
#include <unordered_map>

namespace finer::data {

namespace {

namespace fs = std::filesystem;

constexpr const char* kCarBodies[] = {"sedan",  "SUV",       "coupe", "convertible",
                                      "pickup", "hatchback", "van"};

bool is_same_word(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<uint8_t>(x)) == std::tolower(static_cast<uint8_t>(y));
  });
}

// Body styles that are a word of the name: "Acura ZDX Hatchback 2012" -> hatchback; a minivan is no
// van.
std::vector<std::string> car_bodies(std::string_view name) {
  std::vector<std::string> bodies;
  while (!(name = trimmed(name)).empty()) {
    const std::string_view word = name.substr(0, name.find(' '));
    for (const char* body : kCarBodies) {
      const bool is_new = std::find(bodies.begin(), bodies.end(), body) == bodies.end();
      if (is_same_word(word, body) && is_new) bodies.emplace_back(body);
    }
    name.remove_prefix(word.size());
  }
  return bodies;
}

// Coarse labels by class, from 0. The coarse-label file is only asked for where a name does not
// tell.
std::vector<std::vector<std::string>> car_coarse(const std::vector<std::string>& names,
                                                 const ReaderOptions& options) {
  std::vector<std::vector<std::string>> coarse;
  std::vector<size_t> untold;
  for (size_t i = 0; i < names.size(); ++i) {
    coarse.push_back(car_bodies(names[i]));
    if (coarse.back().empty()) untold.push_back(i);
  }
  if (untold.empty() && !options.coarse) return coarse;
  const CoarseClasses file = [&] {
    try {
      return CoarseClasses::load(options, "stanford-cars");
    } catch (const DataError& error) {
      const bool is_missing = !options.coarse && !untold.empty() &&
                              !fs::exists(options.root / CoarseClasses::kFileName);
      if (!is_missing) throw;
      throw DataError(std::string(error.what()) + "; " + std::to_string(untold.size()) +
                      " classes have no body style in their name, " + quote(names[untold[0]]) +
                      " is the first");
    }
  }();
  file.check_classes(static_cast<int64_t>(names.size()));
  for (const size_t i : untold) coarse[i] = file.of(static_cast<int64_t>(i) + 1);
  return coarse;
}

std::string car_annotations(const ReaderOptions& options) {
  if (options.is_train) return "devkit/cars_train_annos.mat";
  const std::string name = "cars_test_annos_withlabels.mat";
  const bool is_in_devkit = !fs::exists(options.root / name) &&
                            fs::exists(options.root / "devkit" / name);  // some mirrors
  return is_in_devkit ? "devkit/" + name : name;
}

}  // namespace

void read_cars(const ReaderOptions& options, const RecordSink& sink) {
  const std::string folder = options.is_train ? "cars_train/" : "cars_test/";
  const std::string name = car_annotations(options);
  require_file(options.root, "devkit/cars_meta.mat");
  require_file(options.root, name);
  const auto names = [&] {
    auto read = MatFile(options.root / "devkit/cars_meta.mat").texts("class_names");
    for (auto& label : read) label = trimmed(label);
    return read;
  }();
  const auto coarse = car_coarse(names, options);
  const std::string file = (options.root / name).string();
  MatFile mat(options.root / name);
  const auto cars =
      mat.structs("annotations", {"bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname"});

  std::unordered_map<std::string, size_t> seen;
  UnifiedRecord record;
  record.superordinate = "Car";
  for (size_t i = 0; i < cars.size(); ++i) {
    const std::string where = file + ": annotations(" + std::to_string(i + 1) + ")";
    const std::string picture(trimmed(cars.text(i, "fname")));
    check_picture_path(picture, where);
    if (!seen.emplace(picture, i).second) {
      throw DataError(where + ": picture " + quote(picture) + " was there before");
    }
    const int64_t number = cars.whole_number(i, "class");
    if (number < 1 || number > static_cast<int64_t>(names.size())) {
      throw DataError(where + ": class is " + std::to_string(number) + "; cars_meta.mat has " +
                      std::to_string(names.size()) + " classes");
    }
    const auto at = static_cast<size_t>(number - 1);
    if (names[at].empty())
      throw DataError(where + ": class " + std::to_string(number) + " has no name");
    record.coarse = coarse[at];
    record.fine = {names[at]};
    record.img_path = folder + picture;
    record.metadata = "{\"class\": " + std::to_string(number) + ", \"box_xyxy\": [";
    for (const char* side : {"bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"}) {
      if (!record.metadata.ends_with('[')) record.metadata += ", ";
      record.metadata += std::to_string(cars.whole_number(i, side));
    }
    record.metadata += "]}";
    sink(record);
    ++record.idx;
  }
}

}  // namespace finer::data
