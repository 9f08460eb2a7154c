#pragma once

#include "data/record.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace finer::data {

/// A file of conversations on disk: LLaVA JSON (one array) or JSONL, mapped, with an index of where
/// each record begins and ends. Records are parsed when asked for, so a file of a million samples
/// opens in seconds and costs 16 bytes a record.
///
/// Threads: read() and content_hash() are const and may be called from many threads.
class Dataset {
 public:
  /// Throws: DataError naming the file, the record's index, and the byte and line where the JSON
  /// breaks.
  static Dataset open(const std::filesystem::path& path);

  Dataset(Dataset&&) noexcept;
  Dataset& operator=(Dataset&&) noexcept;
  ~Dataset();

  int64_t size() const;
  /// Throws: DataError "FILE: record I (id X): reason".
  Sample read(int64_t index) const;
  /// The group of each record, numbered in the order in which they begin: records of one picture
  /// (peek_image()), up to `most` of them, in the file's order; a record without one is its own.
  std::vector<int64_t> picture_groups(int64_t most) const;
  /// "FILE: record I (id X)", how every message about a record begins; without an id where `id` is
  /// empty.
  std::string where(int64_t index, const std::string& id) const;
  /// Hash of all of the file's bytes, computed at the first call: goes into the checkpoint, so that
  /// a resumed run notices another file.
  uint64_t content_hash() const;
  const std::filesystem::path& path() const;

 private:
  struct Impl;
  explicit Dataset(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace finer::data
