#pragma once

#include "data/readers/reader.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace finer::data {

struct RecordsOptions {
  std::string set;  // key of readers()
  ReaderOptions reader;
  std::filesystem::path out;                      // a folder: the usual name in it
  std::vector<std::filesystem::path> attributes;  // files to hold the classes against
  bool verify_images = false;
  int64_t num_threads = 1;  // of verify_images; changes no result
  std::function<void(int64_t records)> progress = [](int64_t) {};
};

/// What was written, for the table at the end. A class is one list of fine labels.
struct RecordsReport {
  std::string title;  // set and split
  std::filesystem::path out;
  int64_t num_images = 0, num_classes = 0;
  int64_t min_images = 0, max_images = 0;  // a class
  double median_images = 0;
  int64_t images_without_coarse = 0, classes_without_coarse = 0;
  int64_t num_missing = 0;
  std::vector<std::string> first_missing;  // at most 10 paths
  bool has_verified = false, has_attributes = false;
  std::vector<std::string> broken;              // a line a picture
  std::vector<std::string> without_attributes;  // fine labels, in order of appearance

  /// The table, and before it what it counts by name.
  std::vector<std::string> lines() const;
};

/// Reads a set and writes its unified records; the file appears whole or not at all.
/// Throws: DataError as the readers do, or where options do not fit the set or nothing was found.
RecordsReport write_records(const RecordsOptions& options);

}  // namespace finer::data
