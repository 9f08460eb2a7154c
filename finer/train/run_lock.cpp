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

fs::path lock_file(const fs::path& run_dir) { return run_dir / ".lock"; }

// Whether the path still leads to the open file: a run's folder may have been renamed meanwhile.
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
  const std::string out(text.data(), static_cast<size_t>(size));
  return "finer-train (" + out.substr(0, out.find('\n')) + ")";
}

}  // namespace

bool RunLock::is_known(const fs::path& run_dir) { return fs::exists(lock_file(run_dir)); }

void RunLock::release() {
  if (fd_ < 0) return;
  if (ftruncate(fd_, 0) != 0) log::debug("a lock keeps its text");
  ::close(fd_);
  fd_ = -1;
}

void RunLock::take(const fs::path& run_dir) {
  using Clock = std::chrono::steady_clock;
  const auto path = lock_file(run_dir);
  const auto start = Clock::now();
  bool has_told = false;
  for (;;) {
    if (fd_ >= 0 && is_same_file(fd_, path)) return;
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 && errno == ENOENT && fs::create_directories(run_dir)) continue;
    if (fd < 0) {
      throw RecipeError("output: " + path.string() + " cannot be opened: " + std::strerror(errno));
    }
    const int why = ::flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
    if (why == EWOULDBLOCK) {
      const auto who = holder(fd);
      ::close(fd);
      if (std::chrono::duration<double>(Clock::now() - start).count() >= patience_s) {
        throw RecipeError("output: " + run_dir.string() + " is being written by " + who +
                          "; wait for it or stop it, or give another output");
      }
      if (!has_told) log::info(run_dir.string() + " is being written by " + who + ": waiting");
      has_told = true;
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      continue;
    }
    if (why == 0 && !is_same_file(fd, path)) {  // renamed between the two calls
      ::close(fd);
      continue;
    }
    if (why != 0) {
      log::warn(path.string() + " cannot be locked (" + std::strerror(why) +
                "): nothing keeps a second finer-train out of this folder");
    }
    release();
    fd_ = fd;
    const auto text = "process " + std::to_string(getpid()) + " on " + dist::host_name() + "\n";
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text.data(), text.size(), 0) < 0)
      log::debug(path.string() + ": cannot be written");
    return;
  }
}

}  // namespace finer
