// Stanford Dogs: 120 breeds of ImageNet.
// Source: the README of the official download lists.tar (file_list, annotation_list, labels).
#include "data/readers/coarse_labels.h"
#include "data/readers/label_text.h"
#include "data/readers/list_file.h"
#include "data/readers/mat_file.h"
#include "finer/core/error.h"
#include "finer/core/quote.h"

#include <unordered_map>

namespace finer::data {

namespace {

// The folder "n02085620-Chihuahua" as WordNet id and breed.
struct BreedFolder {
  std::string wordnet, breed;
};

BreedFolder split_breed_folder(std::string_view folder, const std::string& where) {
  constexpr size_t kDash = 9;  // n and eight digits go before it
  const bool fits = folder.size() > kDash + 1 && folder[0] == 'n' && folder[kDash] == '-' &&
                    folder.substr(1, 8).find_first_not_of("0123456789") == std::string_view::npos;
  BreedFolder parts;
  if (fits) parts.breed = blanks_for_underscores(folder.substr(kDash + 1));
  if (parts.breed.empty()) {
    throw DataError(where + ": folder " + quote(folder) +
                    "; expected nXXXXXXXX-Breed, as in \"n02085620-Chihuahua\"");
  }
  parts.wordnet = folder.substr(0, kDash);
  return parts;
}

}  // namespace

void read_dogs(const ReaderOptions& options, const RecordSink& sink) {
  const std::string name = options.is_train ? "train_list.mat" : "test_list.mat";
  require_file(options.root, name);
  const CoarseClasses coarse = CoarseClasses::load(options, "stanford-dogs");
  const std::string file = (options.root / name).string();
  MatFile mat(options.root / name);
  const auto paths = mat.texts("file_list");
  const auto labels = mat.whole_numbers("labels");
  if (paths.size() != labels.size()) {
    throw DataError(file + ": file_list has " + std::to_string(paths.size()) +
                    " pictures, labels has " + std::to_string(labels.size()) + " numbers");
  }

  std::unordered_map<int64_t, std::string> folders;  // a class has one folder
  std::unordered_map<std::string, size_t> seen;
  UnifiedRecord record;
  record.superordinate = "Dog";
  for (size_t i = 0; i < paths.size(); ++i) {
    const std::string where = file + ": file_list{" + std::to_string(i + 1) + "}";
    const std::string path(trimmed(paths[i]));
    check_picture_path(path, where);
    if (!seen.emplace(path, i).second) {
      throw DataError(where + ": picture " + quote(path) + " was there before");
    }
    const std::string folder = path.substr(0, path.find('/'));
    const BreedFolder parts = split_breed_folder(folder, where);
    if (labels[i] < 1) {
      throw DataError(where + ": label is " + std::to_string(labels[i]) + "; expected 1 or more");
    }
    const std::string& known = folders.emplace(labels[i], folder).first->second;
    if (known != folder) {
      throw DataError(where + ": label " + std::to_string(labels[i]) + " is both " + quote(known) +
                      " and " + quote(folder));
    }
    record.coarse = coarse.of(labels[i]);
    record.fine = {parts.breed};
    record.img_path = "Images/" + path;
    record.metadata =
        "{\"class\": " + std::to_string(labels[i]) + ", \"wordnet\": \"" + parts.wordnet + "\"}";
    sink(record);
    ++record.idx;
  }
}

}  // namespace finer::data
