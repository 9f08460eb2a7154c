#include "data/readers/coarse_labels.h"

#include "data/json_text.h"
#include "data/readers/label_text.h"
#include "data/readers/list_file.h"
#include "finer/core/error.h"
#include "finer/core/quote.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

namespace finer::data {

namespace {

namespace fs = std::filesystem;

// The file to read; throws where it is not there, saying which file is wanted.
fs::path coarse_file(const ReaderOptions& options, const std::string& set_key, const char* name,
                     const char* form) {
  const fs::path path = options.coarse ? *options.coarse : options.root / name;
  std::error_code error;
  if (fs::is_regular_file(path, error)) return path;
  if (!fs::is_directory(options.root, error)) {
    throw DataError(options.root.string() + ": is no folder; expected the one that --root names");
  }
  throw DataError(path.string() + ": no such file; " + set_key +
                  " takes its coarse labels from it (" + form +
                  "): give it by --coarse FILE, or go on without coarse labels by --coarse none");
}

}  // namespace

CoarseClasses CoarseClasses::load(const ReaderOptions& options, const std::string& set_key) {
  CoarseClasses coarse;
  if (options.without_coarse_file) return coarse;
  const fs::path path = coarse_file(options, set_key, kFileName, "a line a class, N name[, name]");
  coarse.file_ = path.string();
  read_list(
      path.has_parent_path() ? path.parent_path() : fs::path("."), path.filename().string(),
      [&](const ListLine& line) {
        const int64_t number = whole_number(line.word, line.where, "class number", 1);
        if (!coarse.names_.emplace(number, split_at_commas(line.rest)).second) {
          throw DataError(line.where + ": class " + std::to_string(number) + " was there before");
        }
        coarse.highest_ = std::max(coarse.highest_, number);
      });
  return coarse;
}

const std::vector<std::string>& CoarseClasses::of(int64_t class_number) const {
  static const std::vector<std::string> none;
  const auto found = names_.find(class_number);
  return found == names_.end() ? none : found->second;
}

void CoarseClasses::check_classes(int64_t last_class) const {
  if (highest_ <= last_class) return;
  throw DataError(file_ + ": has class " + std::to_string(highest_) + ", the set's last is " +
                  std::to_string(last_class) + "; expected this set's coarse-label file");
}

CoarseFamilies load_coarse_families(const ReaderOptions& options, const std::string& set_key) {
  CoarseFamilies families;
  if (options.without_coarse_file) return families;
  const fs::path path =
      coarse_file(options, set_key, kCoarseFamiliesFile, "JSON, family -> list of names");
  std::ifstream in(path, std::ios::binary);
  if (!in) throw DataError(path.string() + ": cannot be opened: " + std::strerror(errno));
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  try {
    JsonCursor json(text);
    json.object([&](std::string_view key) {
      const auto [entry, is_new] = families.try_emplace(std::string(key));
      if (!is_new) json.fail(json.offset(), "family " + quote(key) + " was there before");
      json.array([&] {
        std::string name;
        json.string(name);
        const std::string_view label = trimmed(name);
        if (!label.empty()) entry->second.emplace_back(label);
      });
    });
    json.end();
  } catch (const DataError& error) {
    throw DataError(path.string() + ": " + error.what());
  }
  return families;
}

}  // namespace finer::data
