// Any other collection: ROOT/COARSE/FINE/picture.
#include "data/json_text.h"
#include "data/readers/label_text.h"
#include "data/readers/list_file.h"
#include "data/readers/reader.h"
#include "finer/core/error.h"
#include "finer/core/quote.h"
#include "finer/core/rng.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <iterator>
#include <utility>

namespace finer::data {

namespace {

namespace fs = std::filesystem;

bool is_picture_name(const fs::path& name) {
  std::string extension = name.extension().string();
  for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<uint8_t>(c)));
  constexpr const char* kKnown[] = {".jpg", ".jpeg", ".png", ".webp",
                                    ".bmp", ".gif",  ".tif", ".tiff"};
  return std::find(std::begin(kKnown), std::end(kKnown), extension) != std::end(kKnown);
}

// What is in a folder, in byte order whatever the file system says; hidden names are left out.
struct FolderListing {
  std::vector<std::string> folders, pictures;
};

FolderListing list_folder(const fs::path& path) {
  FolderListing listing;
  std::error_code error;
  fs::directory_iterator it(path, error);
  for (const fs::directory_iterator end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with('.')) continue;
    std::error_code ignored;
    if (it->is_directory(ignored)) {
      listing.folders.push_back(name);
    } else if (is_picture_name(name)) {
      listing.pictures.push_back(name);
    }
  }
  if (error) throw DataError(path.string() + ": cannot be listed: " + error.message());
  std::sort(listing.folders.begin(), listing.folders.end());
  std::sort(listing.pictures.begin(), listing.pictures.end());
  return listing;
}

void refuse_pictures(const FolderListing& listing, const fs::path& path) {
  if (listing.pictures.empty()) return;
  throw DataError((path / listing.pictures[0]).string() +
                  ": a picture at this depth; expected ROOT/COARSE/FINE/PICTURE");
}

std::string folder_label(const std::string& name, const fs::path& path) {
  if (!is_utf8(name)) throw DataError(path.string() + ": folder " + quote(name) + " is not UTF-8");
  std::string label = blanks_for_underscores(name);
  if (label.empty()) throw DataError(path.string() + ": folder " + quote(name) + " names nothing");
  return label;
}

// Which of a class's pictures are the test split: those whose paths have the smallest hashes. So
// both splits have every class of two pictures or more, pictures taken one after the other do not
// land on one side, and a new picture moves at most one other.
std::vector<bool> test_pictures(const std::vector<std::string>& paths, double fraction) {
  const size_t count = paths.size();
  auto num_test = static_cast<size_t>(std::lround(fraction * static_cast<double>(count)));
  if (fraction > 0 && fraction < 1) {
    num_test = count < 2 ? 0 : std::clamp(num_test, size_t{1}, count - 1);
  }
  std::vector<std::pair<uint64_t, size_t>> order;
  for (size_t i = 0; i < count; ++i) order.emplace_back(mix_seed(hash_bytes(paths[i]), 0), i);
  std::sort(order.begin(), order.end());
  std::vector<bool> is_test(count);
  for (size_t i = 0; i < num_test; ++i) is_test[order[i].second] = true;
  return is_test;
}

}  // namespace

void read_folder(const ReaderOptions& options, const RecordSink& sink) {
  const fs::path& root = options.root;
  std::error_code error;
  if (!fs::is_directory(root, error)) {
    throw DataError(root.string() + ": is no folder; --root names the one with COARSE/FINE/*.jpg");
  }
  if (!(options.test_fraction >= 0 && options.test_fraction <= 1)) {
    throw DataError("--test-fraction is " + std::to_string(options.test_fraction) +
                    "; expected 0 to 1");
  }
  UnifiedRecord record;
  record.superordinate = options.superordinate;
  if (record.superordinate.empty()) {
    const fs::path whole = fs::canonical(root);
    record.superordinate = folder_label(whole.filename().string(), root);
  }
  int64_t class_number = 0;
  const FolderListing top = list_folder(root);
  refuse_pictures(top, root);
  for (const std::string& coarse : top.folders) {
    const FolderListing middle = list_folder(root / coarse);
    refuse_pictures(middle, root / coarse);
    record.coarse = {folder_label(coarse, root)};
    for (const std::string& fine : middle.folders) {
      const fs::path folder = root / coarse / fine;
      const FolderListing bottom = list_folder(folder);
      if (!bottom.folders.empty()) {
        throw DataError((folder / bottom.folders[0]).string() +
                        ": a folder at this depth; expected ROOT/COARSE/FINE/PICTURE");
      }
      if (bottom.pictures.empty()) throw DataError(folder.string() + ": has no pictures");
      record.fine = {folder_label(fine, root / coarse)};
      record.metadata = "{\"class\": " + std::to_string(++class_number) + "}";
      std::vector<std::string> paths;
      for (const std::string& picture : bottom.pictures) {
        paths.push_back(coarse + "/" + fine + "/" + picture);
        check_picture_path(paths.back(), root.string());
      }
      const auto is_test = test_pictures(paths, options.test_fraction);
      for (size_t i = 0; i < paths.size(); ++i) {
        if (is_test[i] == options.is_train) continue;
        record.img_path = paths[i];
        sink(record);
        ++record.idx;
      }
    }
  }
  if (class_number == 0) {
    throw DataError(root.string() + ": has no class folders; expected COARSE/FINE/*.jpg in it");
  }
}

}  // namespace finer::data
