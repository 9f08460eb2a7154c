#pragma once

#include "data/attributes.h"
#include "data/unified.h"
#include "finer/eval/class_table.h"
#include "finer/eval/config.h"
#include "finer/eval/scores.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <unordered_map>
#include <vector>

namespace finer {

/// A set of records, opened: all of them, and those that are asked about.
struct EvalSet {
  std::string name;
  std::filesystem::path file;
  std::filesystem::path images;  // root of the pictures
  std::vector<data::UnifiedRecord> records;
  std::vector<size_t> chosen;  // places in `records`, ascending
  std::unordered_map<int64_t, size_t> by_idx;
  EvalClasses classes;
  data::AttributeTable attributes;
  uint64_t records_hash = 0;     // of the file's bytes
  uint64_t attributes_hash = 0;  // of all attribute files

  /// Required attributes of a record's concept; empty where it has none.
  std::vector<std::string> attributes_of(const data::UnifiedRecord& record) const;
  /// Throws: DataError for a path that leads out of the root, with file and idx.
  std::filesystem::path picture_of(const data::UnifiedRecord& record) const;
};

/// Throws: DataError naming file and line, or the first record that lacks a label of a level asked.
EvalSet open_eval_set(const EvalSetConfig& config, const EvalSubsetConfig& subset,
                      const std::vector<Level>& levels);

/// The numbers of `limit` records out of n (0: all), ascending; more of them with the same seed
/// hold the fewer ones.
std::vector<size_t> choose_subset(size_t n, int64_t limit, uint64_t seed);

/// Hash of a file's bytes. Throws: DataError where it cannot be read.
uint64_t file_hash(const std::filesystem::path& file);

}  // namespace finer
