#pragma once

#include "finer/eval/session.h"

#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

namespace finer {

/// Pictures decoded and preprocessed by background threads ahead of who needs them, in order.
///
/// Threads: next() by one thread.
class PictureAhead {
 public:
  using Read = std::function<Picture(const std::filesystem::path&)>;

  /// paths    an empty one yields no pixels
  /// read     called by `workers` threads at a time (Session::picture)
  /// ahead    pictures kept ready at most
  PictureAhead(std::vector<std::filesystem::path> paths, Read read, int64_t workers, int64_t ahead);
  ~PictureAhead();

  /// The picture of the next path. Throws: what `read` threw for it; std::logic_error when asked
  /// more often than there are paths.
  Picture next();

 private:
  struct Shared;
  std::unique_ptr<Shared> shared_;
};

}  // namespace finer
