#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace finer::data {

/// Says which pictures are there without a stat for each: every folder is listed once, 8 bytes are
/// kept a file. 2.7 million pictures in 10,000 folders are 10,000 listings.
class PictureFiles {
 public:
  explicit PictureFiles(std::filesystem::path root) : root_(std::move(root)) {}

  /// `path` is relative to the root. A folder that is not there has no pictures.
  bool has(std::string_view path);

 private:
  using Names = std::vector<uint64_t>;  // sorted hashes
  Names list(const std::string& folder) const;

  std::filesystem::path root_;
  std::unordered_map<std::string, Names> folders_;
  std::string folder_;  // of the last question
  const Names* names_ = nullptr;
};

}  // namespace finer::data
