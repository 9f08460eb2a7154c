#pragma once

#include "data/mixture/config.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <unordered_map>
#include <vector>

namespace finer::data {

/// What must not be in the output: the pictures and the concept names of the sets held out.
class HoldOut {
 public:
  /// Reads the records of the sets that are held out. Throws: DataError naming the file.
  explicit HoldOut(const MixtureConfig& config);

  bool is_empty() const { return keys_.empty(); }
  bool holds(const std::string& set_key) const;
  /// The held-out set that has this picture (path as in the output); nullptr: none.
  const std::string* owner_of_image(const std::string& image) const;
  /// "KEY: name" of the held-out concept that has one of these fine labels; "": none.
  std::string concept_of(const std::vector<std::string>& fine_labels) const;
  int64_t num_images() const { return static_cast<int64_t>(images_.size()); }
  int64_t num_names() const { return static_cast<int64_t>(names_.size()); }

 private:
  std::vector<std::string> keys_;
  std::unordered_map<std::string, size_t> images_;      // path -> number of the set
  std::unordered_map<std::string, std::string> names_;  // normalised -> "KEY: name"
};

}  // namespace finer::data
