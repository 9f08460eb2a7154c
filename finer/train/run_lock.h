#pragma once

#include <filesystem>

namespace finer {

/// One process at a time writes into a run's folder: RUN/.lock, held by flock until the process
/// ends, however it does. Two of them would mix their metrics and checkpoints. The file names its
/// holder; it is empty when nobody holds it, unless the holder was killed.
class RunLock {
 public:
  RunLock() = default;
  ~RunLock() { release(); }
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  /// Takes the folder's lock instead of the one that is held, unless that is the same, and makes
  /// the folder where there is none. Waits for a process that has it, such as one that was just
  /// told to stop and is saving. Throws: RecipeError naming the process. A file system without
  /// locks is told of and let be.
  void take(const std::filesystem::path& run_dir);

  /// Whether a process of this kind has written into the folder before.
  static bool is_known(const std::filesystem::path& run_dir);

  static inline double patience_s = 30;

 private:
  void release();

  int fd_ = -1;
};

}  // namespace finer
