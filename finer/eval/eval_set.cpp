#include "finer/eval/eval_set.h"

#include "data/record.h"
#include "finer/core/error.h"
#include "finer/core/rng.h"

#include <algorithm>
#include <array>
#include <fstream>

namespace finer {

namespace fs = std::filesystem;

std::vector<std::string> EvalSet::attributes_of(const data::UnifiedRecord& record) const {
  const auto* concept_attributes = attributes.find(record.fine);
  return concept_attributes == nullptr ? std::vector<std::string>{} : concept_attributes->required;
}

fs::path EvalSet::picture_of(const data::UnifiedRecord& record) const {
  try {
    return data::resolve_inside(images, record.img_path);
  } catch (const DataError& error) {
    throw DataError(file.string() + ": idx " + std::to_string(record.idx) +
                    ": img_path: " + error.what());
  }
}

EvalSet open_eval_set(const EvalSetConfig& config, const EvalSubsetConfig& subset,
                      const std::vector<Level>& levels) {
  auto records = data::read_unified(config.records);
  if (records.empty()) throw DataError(config.records + ": holds no record");
  EvalSet set{.name = config.name, .file = config.records, .classes = EvalClasses(records)};
  set.images = config.images.empty() ? set.file.parent_path() : fs::path(config.images);
  if (!config.images.empty() && !fs::is_directory(set.images)) {
    throw DataError(config.images + ": is no folder; expected the root of the pictures of " +
                    config.records);
  }
  set.records_hash = file_hash(set.file);
  std::vector<fs::path> files(config.attributes.begin(), config.attributes.end());
  for (const auto& file : files) {
    set.attributes_hash = mix_seed(set.attributes_hash, file_hash(file));
  }
  set.attributes = data::AttributeTable::load(files);
  set.chosen = choose_subset(records.size(), subset.limit, subset.seed);
  set.records = std::move(records);
  for (size_t i = 0; i < set.records.size(); ++i) set.by_idx.emplace(set.records[i].idx, i);
  for (const size_t i : set.chosen) {
    const auto& record = set.records[i];
    for (const Level level : levels) {
      if (has_level(record, level)) continue;
      throw DataError(config.records + ": idx " + std::to_string(record.idx) +
                      " has no label of level " + level_name(level) +
                      "; leave that level out, or use records that have it");
    }
    set.picture_of(record);
  }
  return set;
}

std::vector<size_t> choose_subset(size_t n, int64_t limit, uint64_t seed) {
  const auto order = permutation(static_cast<int64_t>(n), seed);
  const size_t count = limit > 0 ? std::min(n, static_cast<size_t>(limit)) : n;
  std::vector<size_t> chosen(order.begin(), order.begin() + static_cast<int64_t>(count));
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

uint64_t file_hash(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw DataError(file.string() + ": cannot be read");
  uint64_t hash = hash_bytes("");
  std::vector<char> buffer(1 << 20);
  while (stream.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) ||
         stream.gcount() > 0) {
    hash = hash_bytes({buffer.data(), static_cast<size_t>(stream.gcount())}, hash);
  }
  if (stream.bad()) throw DataError(file.string() + ": cannot be read");
  return hash;
}

}  // namespace finer
