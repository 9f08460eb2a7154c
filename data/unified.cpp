#include "data/unified.h"

#include "data/json_text.h"
#include "finer/core/error.h"
#include "finer/core/quote.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <unordered_set>
#include <utility>

namespace finer::data {

namespace {

constexpr const char* kKeys[] = {
    "idx", "basic-level-lbl", "coarse-level-lbl", "fine-level-lbl", "img_path", "metadata"};

void append_labels(std::string& line, const std::vector<std::string>& labels) {
  line += '[';
  for (size_t i = 0; i < labels.size(); ++i) {
    if (i > 0) line += ", ";
    append_json_string(line, labels[i]);
  }
  line += ']';
}

std::vector<std::string> read_labels(JsonCursor& json) {
  std::vector<std::string> labels;
  json.array([&] {
    labels.emplace_back();
    json.string(labels.back());
  });
  return labels;
}

// Which numbers were there: a bit each for those a set can have, a table for wilder ones.
class SeenIdx {
 public:
  bool insert(int64_t idx) {
    constexpr int64_t kDense = int64_t{1} << 26;
    if (idx >= kDense) return sparse_.insert(idx).second;
    const auto at = static_cast<size_t>(idx);
    if (at >= dense_.size()) dense_.resize(std::max(at + 1, dense_.size() * 2));
    if (dense_[at]) return false;
    dense_[at] = true;
    return true;
  }

 private:
  std::vector<bool> dense_;
  std::unordered_set<int64_t> sparse_;
};

}  // namespace

void append_unified_line(std::string& line, const UnifiedRecord& record) {
  line += "{\"idx\": ";
  line += std::to_string(record.idx);
  line += ", \"basic-level-lbl\": ";
  append_json_string(line, record.superordinate);
  line += ", \"coarse-level-lbl\": ";
  append_labels(line, record.coarse);
  line += ", \"fine-level-lbl\": ";
  append_labels(line, record.fine);
  line += ", \"img_path\": ";
  append_json_string(line, record.img_path);
  line += ", \"metadata\": ";
  line += record.metadata;
  line += '}';
}

std::string unified_line(const UnifiedRecord& record) {
  std::string line;
  append_unified_line(line, record);
  return line;
}

UnifiedRecord parse_unified(std::string_view text) {
  UnifiedRecord record;
  bool seen[std::size(kKeys)] = {};
  JsonCursor json(text);
  json.object([&](std::string_view name) {
    size_t key = 0;
    while (key < std::size(kKeys) && name != kKeys[key]) ++key;
    if (key < std::size(kKeys)) {
      if (seen[key]) throw DataError(quote(name) + " is given twice");
      seen[key] = true;
    }
    switch (key) {
      case 0:
        record.idx = json.integer();
        break;
      case 1:
        json.string(record.superordinate);
        break;
      case 2:
        record.coarse = read_labels(json);
        break;
      case 3:
        record.fine = read_labels(json);
        break;
      case 4:
        json.string(record.img_path);
        break;
      case 5:
        if (json.peek() != '{') json.fail(json.offset(), "metadata; expected an object");
        record.metadata = json.skip();
        break;
      default:
        json.skip();
    }
  });
  json.end();
  for (size_t key = 0; key < 5; ++key) {
    if (!seen[key]) throw DataError("has no " + quote(kKeys[key]));
  }
  if (record.idx < 0)
    throw DataError("idx is " + std::to_string(record.idx) + "; expected 0 or more");
  if (record.fine.empty()) throw DataError("fine-level-lbl is empty; expected a label");
  for (const auto& label : record.fine) {
    if (label.empty()) throw DataError("fine-level-lbl has an empty label");
  }
  if (record.img_path.empty()) throw DataError("img_path is empty");
  return record;
}

void for_each_unified(const std::filesystem::path& file,
                      const std::function<void(UnifiedRecord&&)>& visit) {
  std::ifstream in(file, std::ios::binary);
  if (!in || std::filesystem::is_directory(file)) {
    throw DataError(file.string() + ": cannot be opened: " + std::strerror(in ? EISDIR : errno) +
                    "; expected a file of unified records");
  }
  SeenIdx seen;
  std::string line;
  for (int64_t number = 1; std::getline(in, line); ++number) {
    std::string_view text = line;
    if (text.ends_with('\r')) text.remove_suffix(1);
    if (text.find_first_not_of(" \t") == std::string_view::npos) continue;
    UnifiedRecord record;
    try {
      record = parse_unified(text);
      if (!seen.insert(record.idx)) {
        throw DataError("idx " + std::to_string(record.idx) + " was there before");
      }
    } catch (const DataError& error) {
      throw DataError(file.string() + ":" + std::to_string(number) + ": " + error.what());
    }
    visit(std::move(record));
  }
  if (in.bad()) throw DataError(file.string() + ": cannot be read: " + std::strerror(errno));
}

std::vector<UnifiedRecord> read_unified(const std::filesystem::path& file) {
  std::vector<UnifiedRecord> records;
  for_each_unified(file, [&](UnifiedRecord&& record) { records.push_back(std::move(record)); });
  return records;
}

}  // namespace finer::data
