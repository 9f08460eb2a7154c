#pragma once

#include <filesystem>

namespace finer {

/// One process at a time writes into a run's folder: RUN/lock, held by flock until the process
/// ends, however it does. Two of them would mix their metrics and checkpoints.
class RunLock {
 public:
  RunLock() = default;
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  /// Takes the folder's lock instead of the one that is held, unless that is the same. Throws:
  /// RecipeError naming the process that has it. A file system without locks is told of and let
  /// be.
  void take(const std::filesystem::path& run_dir);

 private:
  int fd_ = -1;
};

}  // namespace finer
