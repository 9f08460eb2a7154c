// iNaturalist 2021: 10,000 species, 2.7 million training pictures, one JSON file of over a
// gigabyte. Source: the README of the competition's repository, visipedia/inat_comp, 2021.
#include "data/json_text.h"
#include "data/readers/coarse_labels.h"
#include "data/readers/label_text.h"
#include "data/readers/list_file.h"
#include "data/readers/mapped_text.h"
#include "finer/core/error.h"
#include "finer/core/quote.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

namespace finer::data {

namespace {

// File names, folder and name apart: the folder's name is longer and comes 270 times.
class NatureImages {
 public:
  void add(int64_t id, std::string_view file_name) {
    const size_t slash = file_name.rfind('/');
    const size_t folder_size = slash == std::string_view::npos ? 0 : slash + 1;
    rows_.push_back(
        {id, keep(file_name.substr(folder_size)), folder_number(file_name.substr(0, folder_size))});
  }

  size_t size() const { return rows_.size(); }
  int64_t id(size_t row) const { return rows_[row].id; }
  void file_name(size_t row, std::string& path) const {
    path.assign(folders_[rows_[row].folder]);
    path.append(rows_[row].name);
  }

  /// The id of two rows that have the same, or nothing. Rows are in the order of their ids from
  /// here on.
  const int64_t* sort() {
    const auto by_id = [](const Row& a, const Row& b) { return a.id < b.id; };
    if (!std::is_sorted(rows_.begin(), rows_.end(), by_id)) {
      std::sort(rows_.begin(), rows_.end(), by_id);
    }
    const auto twice = std::adjacent_find(rows_.begin(), rows_.end(),
                                          [](const Row& a, const Row& b) { return a.id == b.id; });
    return twice == rows_.end() ? nullptr : &twice->id;
  }
  /// Row of an id, size() where there is none. After sort().
  size_t find(int64_t id) const {
    // the ids of the official files are 0, 1, 2, ...
    if (id >= 0 && static_cast<size_t>(id) < rows_.size() &&
        rows_[static_cast<size_t>(id)].id == id) {
      return static_cast<size_t>(id);
    }
    const auto found = std::lower_bound(rows_.begin(), rows_.end(), id,
                                        [](const Row& row, int64_t key) { return row.id < key; });
    return found != rows_.end() && found->id == id ? static_cast<size_t>(found - rows_.begin())
                                                   : rows_.size();
  }

 private:
  struct Row {
    int64_t id;
    const char* name;
    uint32_t folder;
  };
  static constexpr size_t kBlockBytes = size_t{1} << 20;

  const char* keep(std::string_view name) {
    const size_t bytes = name.size() + 1;
    if (bytes > block_left_) {
      block_left_ = std::max(kBlockBytes, bytes);
      blocks_.push_back(std::make_unique<char[]>(block_left_));
      next_ = blocks_.back().get();
    }
    char* kept = next_;
    std::memcpy(kept, name.data(), name.size());
    kept[name.size()] = '\0';
    next_ += bytes;
    block_left_ -= bytes;
    return kept;
  }
  uint32_t folder_number(std::string_view folder) {
    if (!folders_.empty() && folders_[last_folder_] == folder) return last_folder_;
    const auto [entry, is_new] =
        folder_numbers_.emplace(folder, static_cast<uint32_t>(folders_.size()));
    if (is_new) folders_.emplace_back(folder);
    return last_folder_ = entry->second;
  }

  std::vector<Row> rows_;
  std::vector<std::string> folders_;  // with the slash at their end
  std::unordered_map<std::string, uint32_t> folder_numbers_;
  uint32_t last_folder_ = 0;
  std::vector<std::unique_ptr<char[]>> blocks_;
  char* next_ = nullptr;
  size_t block_left_ = 0;
};

struct NatureAnnotation {
  int64_t image, category;
};

constexpr const char* kRanks[] = {"kingdom", "phylum", "class",           "order",
                                  "family",  "genus",  "specific_epithet"};

class NatureFile {
 public:
  explicit NatureFile(const std::filesystem::path& path) : file_(path.string()), mapped_(path) {}

  /// Throws: DataError "FILE: byte N: ...".
  void read() {
    try {
      JsonCursor json(mapped_.text());
      json.object([&](std::string_view key) {
        if (key == "images") {
          each(json, "images", has_images_, [&](size_t at) { read_image(json, at); });
        } else if (key == "annotations") {
          each(json, "annotations", has_annotations_,
               [&](size_t at) { read_annotation(json, at); });
        } else if (key == "categories") {
          each(json, "categories", has_categories_, [&](size_t at) { read_category(json, at); });
        } else {
          json.skip();
        }
      });
      json.end();
    } catch (const DataError& error) {
      throw DataError(file_ + ": " + error.what());
    }
    for (const auto& [name, has] :
         {std::pair{"images", has_images_}, std::pair{"annotations", has_annotations_},
          std::pair{"categories", has_categories_}}) {
      if (!has) throw fault(std::string("has no ") + quote(name));
    }
    mapped_.release_before(mapped_.text().size());
    check();
  }

  const std::vector<NatureAnnotation>& annotations() const { return annotations_; }
  const NatureImages& images() const { return images_; }

  /// Categories as records without idx and img_path, by id.
  std::unordered_map<int64_t, UnifiedRecord> categories;
  std::unordered_map<int64_t, std::string> families;

 private:
  DataError fault(const std::string& what) const { return DataError(file_ + ": " + what); }

  template <class Element>
  void each(JsonCursor& json, const char* name, bool& is_there, const Element& element) {
    if (is_there) json.fail(json.offset(), std::string(name) + " was there before");
    is_there = true;
    size_t at = 0;
    json.array([&] {
      element(at++);
      mapped_.release_before(json.offset());
    });
  }

  static std::string item(const char* list, size_t at) {
    return std::string(list) + "[" + std::to_string(at) + "]";
  }

  void read_image(JsonCursor& json, size_t at) {
    const size_t start = json.offset();
    bool has_id = false;
    int64_t id = 0;
    name_.clear();
    json.object([&](std::string_view key) {
      if (key == "id") {
        id = json.integer();
        has_id = true;
      } else if (key == "file_name") {
        json.string(name_);
      } else {
        json.skip();
      }
    });
    if (!has_id) json.fail(start, item("images", at) + " has no id");
    if (!is_picture_path(name_)) {
      json.fail(start, item("images", at) + ".file_name is " + quote(name_) +
                           "; expected a path below the set's folder, without \"..\"");
    }
    images_.add(id, name_);
  }

  void read_annotation(JsonCursor& json, size_t at) {
    const size_t start = json.offset();
    NatureAnnotation annotation{};
    int64_t id = 0;
    unsigned seen = 0;
    json.object([&](std::string_view key) {
      if (key == "id") {
        id = json.integer();
        seen |= 1;
      } else if (key == "image_id") {
        annotation.image = json.integer();
        seen |= 2;
      } else if (key == "category_id") {
        annotation.category = json.integer();
        seen |= 4;
      } else {
        json.skip();
      }
    });
    if (seen != 7) {
      json.fail(start, item("annotations", at) + " has no " +
                           ((seen & 1) == 0   ? "id"
                            : (seen & 2) == 0 ? "image_id"
                                              : "category_id"));
    }
    annotations_.push_back(annotation);
    annotation_ids_.push_back(id);
  }

  void read_category(JsonCursor& json, size_t at) {
    const size_t start = json.offset();
    bool has_id = false;
    int64_t id = 0;
    UnifiedRecord record;
    std::string name, common_name, ranks[std::size(kRanks)];
    const auto take = [&](std::string& value) {  // null is an empty text
      if (json.peek() == 'n') {
        json.skip();
      } else {
        json.string(value);
        value = trimmed(value);
      }
    };
    json.object([&](std::string_view key) {
      if (key == "id") {
        id = json.integer();
        has_id = true;
      } else if (key == "name") {
        take(name);
      } else if (key == "common_name") {
        take(common_name);
      } else if (key == "supercategory") {
        take(record.superordinate);
      } else if (const auto* rank = std::find(std::begin(kRanks), std::end(kRanks), key);
                 rank != std::end(kRanks)) {
        take(ranks[rank - std::begin(kRanks)]);
      } else {
        json.skip();
      }
    });
    const auto require = [&](bool has, const char* key) {
      if (!has) json.fail(start, item("categories", at) + " has no " + key);
    };
    require(has_id, "id");
    require(!name.empty(), "name");
    require(!record.superordinate.empty(), "supercategory");
    record.fine = {name};
    if (!common_name.empty() && common_name != name) record.fine.push_back(common_name);
    record.metadata = "{\"class\": " + std::to_string(id) + ", \"taxonomy\": {";
    for (size_t i = 0; i < std::size(kRanks); ++i) {
      if (ranks[i].empty()) continue;
      if (!record.metadata.ends_with('{')) record.metadata += ", ";
      append_json_string(record.metadata, kRanks[i]);
      record.metadata += ": ";
      append_json_string(record.metadata, ranks[i]);
    }
    record.metadata += "}}";
    families[id] = ranks[4];
    if (!categories.emplace(id, std::move(record)).second) {
      json.fail(start, item("categories", at) + ": id " + std::to_string(id) + " was there before");
    }
  }

  // One annotation an image, and no id twice.
  void check() {
    if (const int64_t* id = images_.sort()) {
      throw fault("images: id " + std::to_string(*id) + " comes twice");
    }
    std::sort(annotation_ids_.begin(), annotation_ids_.end());
    const auto twice = std::adjacent_find(annotation_ids_.begin(), annotation_ids_.end());
    if (twice != annotation_ids_.end()) {
      throw fault("annotations: id " + std::to_string(*twice) + " comes twice");
    }
    annotation_ids_ = {};
    std::vector<bool> has_label(images_.size());
    for (size_t at = 0; at < annotations_.size(); ++at) {
      const NatureAnnotation& annotation = annotations_[at];
      const size_t row = images_.find(annotation.image);
      const std::string id = std::to_string(annotation.image);
      if (row == images_.size()) {
        throw fault(item("annotations", at) + ": image_id " + id + " is not in images");
      }
      if (has_label[row]) {
        throw fault(item("annotations", at) + ": image_id " + id +
                    " has an annotation already; expected one a picture");
      }
      has_label[row] = true;
      if (categories.find(annotation.category) == categories.end()) {
        throw fault(item("annotations", at) + ": category_id " +
                    std::to_string(annotation.category) + " is not in categories");
      }
    }
    const auto bare = std::find(has_label.begin(), has_label.end(), false);
    if (bare != has_label.end()) {
      const auto row = static_cast<size_t>(bare - has_label.begin());
      throw fault("images: id " + std::to_string(images_.id(row)) + " has no annotation (" +
                  std::to_string(images_.size()) + " images, " +
                  std::to_string(annotations_.size()) + " annotations)");
    }
  }

  std::string file_;
  MappedText mapped_;
  bool has_images_ = false, has_annotations_ = false, has_categories_ = false;
  NatureImages images_;
  std::vector<NatureAnnotation> annotations_;
  std::vector<int64_t> annotation_ids_;
  std::string name_;  // of read_image
};

}  // namespace

void read_inaturalist(const ReaderOptions& options, const RecordSink& sink) {
  const std::string name = options.is_train ? "train.json" : "val.json";
  require_file(options.root, name);
  const CoarseFamilies coarse = load_coarse_families(options, "inaturalist");
  NatureFile file(options.root / name);
  file.read();
  for (auto& [id, record] : file.categories) {
    const auto found = coarse.find(file.families[id]);
    if (found != coarse.end()) record.coarse = found->second;
  }
  int64_t idx = 0;
  for (const NatureAnnotation& annotation : file.annotations()) {
    UnifiedRecord& record = file.categories.find(annotation.category)->second;
    record.idx = idx++;
    file.images().file_name(file.images().find(annotation.image), record.img_path);
    sink(record);
  }
}

}  // namespace finer::data
