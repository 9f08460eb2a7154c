#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "data/record.h"

namespace finer::data {

/// A file of conversations on disk: LLaVA JSON (one array) or JSONL, mapped, with an index of where each
/// record begins and ends. Records are parsed when asked for, so a file of a million samples opens in
/// seconds and costs 16 bytes a record.
///
/// Threads: read() is const and may be called from many threads.
class Dataset {
 public:
  /// Throws: DataError naming the file, the record's index and the byte where the JSON breaks.
  static Dataset open(const std::filesystem::path& path);

  Dataset(Dataset&&) noexcept;
  Dataset& operator=(Dataset&&) noexcept;
  ~Dataset();

  int64_t size() const;
  /// Throws: DataError "FILE: record I (id X): reason".
  Sample read(int64_t index) const;
  /// Hash of the file's bytes: goes into the checkpoint, so that a resumed run notices another file.
  uint64_t content_hash() const;
  const std::filesystem::path& path() const;

 private:
  struct Impl;
  explicit Dataset(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace finer::data
