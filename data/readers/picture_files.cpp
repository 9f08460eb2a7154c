#include "data/readers/picture_files.h"

#include "finer/core/rng.h"

#include <dirent.h>

#include <algorithm>
#include <memory>

namespace finer::data {

PictureFiles::Names PictureFiles::list(const std::string& folder) const {
  Names names;
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir((root_ / folder).c_str()), ::closedir);
  if (open == nullptr) return names;
  while (const dirent* entry = ::readdir(open.get())) {
    if (entry->d_type != DT_DIR) names.push_back(hash_bytes(entry->d_name));
  }
  std::sort(names.begin(), names.end());
  names.shrink_to_fit();
  return names;
}

bool PictureFiles::has(std::string_view path) {
  const size_t slash = path.rfind('/');
  const size_t folder_size = slash == std::string_view::npos ? 0 : slash + 1;
  const std::string_view folder = path.substr(0, folder_size);
  if (names_ == nullptr || folder_ != folder) {
    folder_ = folder;
    auto found = folders_.find(folder_);
    if (found == folders_.end()) found = folders_.emplace(folder_, list(folder_)).first;
    names_ = &found->second;
  }
  return std::binary_search(names_->begin(), names_->end(), hash_bytes(path.substr(folder_size)));
}

}  // namespace finer::data
