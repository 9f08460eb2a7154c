#pragma once

#include "data/readers/reader.h"

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace finer::data {

/// Coarse names from a coarse-label file: a line a class, "N name[, name]", N the class number
/// from 1.
class CoarseClasses {
 public:
  /// Reads the file that the options name, or coarse-classes.txt under the root; empty where the
  /// options go without. Throws: DataError where it is missing, a line is wrong, or a class number
  /// comes twice.
  static CoarseClasses load(const ReaderOptions& options, const std::string& set_key);

  /// Empty where the file has no line for the class.
  const std::vector<std::string>& of(int64_t class_number) const;
  /// Throws: DataError where the file has a class above `last_class`: it is another set's.
  void check_classes(int64_t last_class) const;

  static constexpr const char* kFileName = "coarse-classes.txt";

 private:
  std::string file_;
  std::unordered_map<int64_t, std::vector<std::string>> names_;
  int64_t highest_ = 0;
};

/// Coarse names of families, from a JSON object family -> list of names.
using CoarseFamilies = std::unordered_map<std::string, std::vector<std::string>>;
inline constexpr const char* kCoarseFamiliesFile = "coarse-classes-family.json";
CoarseFamilies load_coarse_families(const ReaderOptions& options, const std::string& set_key);

}  // namespace finer::data
