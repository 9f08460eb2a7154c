#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace finer::data {

/// One picture of a fine-grained set with its label at three levels, the line of a file
/// `unified-KEY-{train|test}-combined.jsonl`. Source: the authors' published records,
/// https://arxiv.org/abs/2402.16315.
struct UnifiedRecord {
  int64_t idx = 0;                  // counts from 0 in the order of the official list
  std::string superordinate;        // "basic-level-lbl"
  std::vector<std::string> coarse;  // "coarse-level-lbl", may be empty
  std::vector<std::string> fine;    // "fine-level-lbl", at least one
  std::string img_path;             // relative to the root given to the reader
  std::string metadata = "{}";      // a JSON object: class number, bounding box, taxonomy
};

/// The record as one line of JSON, without its line end; keys in the order above.
std::string unified_line(const UnifiedRecord& record);
/// The same at the end of `line`, for those who write millions of them.
/// Both throw: DataError where a label or the path is not UTF-8.
void append_unified_line(std::string& line, const UnifiedRecord& record);

/// Throws: DataError with the reason; the caller knows file and line.
UnifiedRecord parse_unified(std::string_view line);

/// Calls `visit` with each record of a file, in its order; memory does not grow with the file.
/// Throws: DataError "FILE:LINE: reason"; an idx that appears twice is a fault, too.
void for_each_unified(const std::filesystem::path& file,
                      const std::function<void(UnifiedRecord&&)>& visit);

std::vector<UnifiedRecord> read_unified(const std::filesystem::path& file);

}  // namespace finer::data
