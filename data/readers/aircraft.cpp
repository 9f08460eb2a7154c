// FGVC-Aircraft 2013b: manufacturer, family, variant.
// Source: the README of the official download fgvc-aircraft-2013b.tar.gz.
#include "data/readers/label_text.h"
#include "data/readers/list_file.h"
#include "data/readers/reader.h"
#include "finer/core/error.h"
#include "finer/core/quote.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace finer::data {

namespace {

namespace fs = std::filesystem;

// Labels of one level by picture id, with the ids in the list's order.
struct AircraftLabels {
  std::string file;
  std::vector<std::string> ids;
  std::unordered_map<std::string, std::string> by_id;
};

AircraftLabels read_level(const ReaderOptions& options, const std::string& level) {
  const std::string name =
      "data/images_" + level + (options.is_train ? "_trainval.txt" : "_test.txt");
  AircraftLabels labels;
  labels.file = (options.root / name).string();
  read_list(options.root, name, [&](const ListLine& line) {
    const bool is_id = line.word.find_first_not_of("0123456789") == std::string_view::npos;
    if (!is_id) {
      throw DataError(line.where + ": picture id is " + quote(line.word) +
                      "; expected digits, as in \"1025794 707-320\"");
    }
    if (!labels.by_id.emplace(line.word, line.rest).second) {
      throw DataError(line.where + ": picture " + quote(line.word) + " was there before");
    }
    labels.ids.emplace_back(line.word);
  });
  return labels;
}

// Every picture of `list` is in `other`, and there are no more of them there.
void check_same_pictures(const AircraftLabels& list, const AircraftLabels& other) {
  const std::string counts = " (" + std::to_string(list.ids.size()) + " and " +
                             std::to_string(other.ids.size()) + " pictures)";
  for (const std::string& id : list.ids) {
    if (other.by_id.find(id) == other.by_id.end()) {
      throw DataError(other.file + ": picture " + quote(id) + " of " + list.file + " has no label" +
                      counts);
    }
  }
  for (const std::string& id : other.ids) {
    if (list.by_id.find(id) == list.by_id.end()) {
      throw DataError(list.file + ": picture " + quote(id) + " of " + other.file + " has no label" +
                      counts);
    }
  }
}

// Class numbers from data/variants.txt, where it is there.
std::unordered_map<std::string, int64_t> read_variants(const ReaderOptions& options) {
  std::unordered_map<std::string, int64_t> numbers;
  if (!fs::exists(options.root / "data/variants.txt")) return numbers;
  read_lines(options.root, "data/variants.txt", [&](const ListLine& line) {
    const auto number = static_cast<int64_t>(numbers.size()) + 1;
    if (!numbers.emplace(line.rest, number).second) {
      throw DataError(line.where + ": variant " + quote(line.rest) + " was there before");
    }
  });
  return numbers;
}

std::unordered_map<std::string, std::string> read_boxes(const ReaderOptions& options) {
  std::unordered_map<std::string, std::string> boxes;
  if (!fs::exists(options.root / "data/images_box.txt")) return boxes;
  read_list(options.root, "data/images_box.txt",
            [&](const ListLine& line) { boxes[std::string(line.word)] = read_box(line); });
  return boxes;
}

}  // namespace

void read_aircraft(const ReaderOptions& options, const RecordSink& sink) {
  const AircraftLabels variants = read_level(options, "variant");
  const AircraftLabels families = read_level(options, "family");
  const AircraftLabels manufacturers = read_level(options, "manufacturer");
  check_same_pictures(variants, families);
  check_same_pictures(variants, manufacturers);
  const auto numbers = read_variants(options);
  const auto boxes = read_boxes(options);

  UnifiedRecord record;
  record.superordinate = "Airplane";
  for (const std::string& id : variants.ids) {
    const std::string& variant = variants.by_id.at(id);
    const std::string& family = families.by_id.at(id);
    record.coarse = {manufacturers.by_id.at(id)};
    record.fine = {family};
    if (variant != family) record.fine.push_back(variant);  // "F/A-18" is both: given once
    record.img_path = "data/images/" + id + ".jpg";
    record.metadata = "{";
    if (!numbers.empty()) {
      const auto number = numbers.find(variant);
      if (number == numbers.end()) {
        throw DataError(variants.file + ": variant " + quote(variant) +
                        " is not in data/variants.txt");
      }
      record.metadata += "\"class\": " + std::to_string(number->second);
    }
    if (const auto box = boxes.find(id); box != boxes.end()) {
      if (record.metadata.size() > 1) record.metadata += ", ";
      record.metadata += "\"box_xyxy\": " + box->second;
    }
    record.metadata += "}";
    sink(record);
    ++record.idx;
  }
}

}  // namespace finer::data
