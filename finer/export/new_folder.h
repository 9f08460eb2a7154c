#pragma once

#include <filesystem>

namespace finer {

/// A folder that appears whole or not at all: filled beside its place, under a name of this
/// process, and renamed by commit(). Without it nothing stays.
class NewFolder {
 public:
  /// Throws: ConfigError where something is at `path` already, or the folder cannot be made.
  explicit NewFolder(const std::filesystem::path& path);
  ~NewFolder();
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  /// Where it will be: absolute, without a slash at its end.
  const std::filesystem::path& place() const { return place_; }
  const std::filesystem::path& partial() const { return partial_; }
  void commit();

 private:
  std::filesystem::path place_, partial_;
};

}  // namespace finer
