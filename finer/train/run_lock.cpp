#include "finer/train/run_lock.h"

#include "finer/core/error.h"
#include "finer/core/log.h"
#include "finer/dist/address.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>

namespace finer {

namespace {

namespace fs = std::filesystem;

bool is_same_file(int fd, const fs::path& path) {
  struct stat held {
  }, there{};
  return fstat(fd, &held) == 0 && stat(path.c_str(), &there) == 0 && held.st_dev == there.st_dev &&
         held.st_ino == there.st_ino;
}

// What the holder has written of itself.
std::string holder(int fd) {
  std::array<char, 200> text{};
  const auto size = pread(fd, text.data(), text.size(), 0);
  if (size <= 0) return "another finer-train";
  std::string out(text.data(), static_cast<size_t>(size));
  return "finer-train (" + out.substr(0, out.find('\n')) + ")";
}

}  // namespace

RunLock::~RunLock() {
  if (fd_ >= 0) ::close(fd_);
}

void RunLock::take(const fs::path& run_dir) {
  const auto path = run_dir / "lock";
  if (fd_ >= 0 && is_same_file(fd_, path)) return;
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) {
    throw RecipeError("output: " + path.string() + " cannot be opened: " + std::strerror(errno));
  }
  // One that has just been stopped may take a moment to end.
  bool is_taken = false;
  for (int i = 0; i < 20 && !is_taken; ++i) {
    if (i > 0) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    is_taken = ::flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (!is_taken && errno != EWOULDBLOCK) break;
  }
  if (!is_taken) {
    const int why = errno;
    const auto who = holder(fd);
    ::close(fd);
    if (why == EWOULDBLOCK) {
      throw RecipeError("output: " + run_dir.string() + " is being written by " + who +
                        "; wait for it or stop it, or give another output");
    }
    log::warn(path.string() + " cannot be locked (" + std::strerror(why) +
              "): nothing keeps a second finer-train out of this folder");
    return;
  }
  const auto text = "process " + std::to_string(getpid()) + " on " + dist::host_name() + "\n";
  if (ftruncate(fd, 0) != 0 || pwrite(fd, text.data(), text.size(), 0) < 0)
    log::debug(path.string() + ": cannot be written");
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

}  // namespace finer
