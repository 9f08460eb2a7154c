#pragma once

#include "data/unified.h"

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace finer::data {

/// What a reader is asked for.
struct ReaderOptions {
  std::filesystem::path root;  // folder of the set's official files
  bool is_train = true;        // else the test split
  /// Coarse-label file; none: the set's usual file under `root`, where it has one.
  std::optional<std::filesystem::path> coarse;
  bool without_coarse_file = false;  // go on with empty lists instead
  std::string superordinate;         // folder: empty is the root folder's name
  double test_fraction = 0.2;  // folder: share of each class's pictures that is the test split
};

/// Gets each record once, `idx` from 0 upwards; the record is the reader's own.
using RecordSink = std::function<void(const UnifiedRecord&)>;

/// Where a set's coarse labels come from.
enum class CoarseFile {
  kNever,      // the set's own files; a coarse-label file is refused
  kSometimes,  // coarse-classes.txt for the classes whose name does not tell
  kClasses,    // coarse-classes.txt, by class number
  kFamilies,   // coarse-classes-family.json, by family
};

/// One fine-grained set. read() gives its records in the official list's order.
/// Throws: DataError naming file and line, record or byte.
struct Reader {
  const char* key;
  const char* what;  // half a line for --help
  CoarseFile coarse;
  void (*read)(const ReaderOptions& options, const RecordSink& sink);
};

/// The six sets of the paper and "folder", in the order of docs/adding-a-dataset.md.
const std::vector<Reader>& readers();
/// Throws: DataError with the nearest key.
const Reader& find_reader(const std::string& key);

void read_inaturalist(const ReaderOptions& options, const RecordSink& sink);
void read_aircraft(const ReaderOptions& options, const RecordSink& sink);
void read_cub(const ReaderOptions& options, const RecordSink& sink);
void read_dogs(const ReaderOptions& options, const RecordSink& sink);
void read_cars(const ReaderOptions& options, const RecordSink& sink);
void read_nabirds(const ReaderOptions& options, const RecordSink& sink);
void read_folder(const ReaderOptions& options, const RecordSink& sink);

}  // namespace finer::data
