#include "finer/export/new_folder.h"

#include "finer/core/error.h"

#include <unistd.h>

#include <system_error>

namespace finer {

namespace fs = std::filesystem;

NewFolder::NewFolder(const fs::path& path) {
  if (path.empty()) throw ConfigError("--out: is empty; expected a new folder");
  place_ = fs::absolute(path).lexically_normal();
  if (!place_.has_filename()) place_ = place_.parent_path();
  std::error_code fault;
  if (fs::symlink_status(place_, fault).type() != fs::file_type::not_found) {
    throw ConfigError(path.string() + ": " +
                      (fault ? fault.message() : "is there already; expected a new folder"));
  }
  partial_ = place_.parent_path() /
             ("." + place_.filename().string() + ".partial-" + std::to_string(getpid()));
  fs::create_directories(place_.parent_path(), fault);
  if (!fault && fs::create_directory(partial_, fault)) return;
  throw ConfigError(fault ? place_.string() + ": cannot be made: " + fault.message()
                          : partial_.string() + ": cannot be made: is there already");
}

NewFolder::~NewFolder() {
  std::error_code ignored;
  if (!partial_.empty()) fs::remove_all(partial_, ignored);
}

void NewFolder::commit() {
  fs::rename(partial_, place_);
  partial_.clear();
}

}  // namespace finer
