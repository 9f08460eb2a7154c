#include "finer/core/atomic_file.h"

#include "finer/core/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <system_error>
#include <utility>

namespace finer {

namespace {

// What write_all throws: it knows no path, so that atomic_write can put one in front.
class WriteError : public Error {
  using Error::Error;
};

std::string errno_text(int number) { return std::generic_category().message(number); }

[[noreturn]] void fail_write(const std::filesystem::path& path, const std::string& why) {
  throw Error(path.string() + ": cannot be written: " + why);
}

// Closes on every way out; close() is called by hand where its result matters.
class OpenFile {
 public:
  explicit OpenFile(int fd) : fd_(fd) {}
  ~OpenFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int fd() const { return fd_; }
  int close() { return ::close(std::exchange(fd_, -1)); }

 private:
  int fd_;
};

// Removes the temporary unless it was renamed.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::filesystem::path path) : path_(std::move(path)) {}
  ~TemporaryFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::filesystem::path& path() const { return path_; }
  void keep() { path_.clear(); }

 private:
  std::filesystem::path path_;
};

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

std::string why_not_opened(const std::filesystem::path& path, int number) {
  std::string why = errno_text(number);
  if (number == ENOENT) why += " (is there a folder " + folder_of(path).string() + "?)";
  return why;
}

// A pipe or a device (--out /dev/stdout) has no old content to keep and must not be renamed over.
void write_through(const std::filesystem::path& path, const std::function<void(int fd)>& write) {
  OpenFile file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (file.fd() < 0) fail_write(path, errno_text(errno));
  write(file.fd());
  if (file.close() != 0) fail_write(path, errno_text(errno));
}

void replace_whole(const std::filesystem::path& path, const std::function<void(int fd)>& write) {
  int fd = -1;
  std::filesystem::path beside;
  // O_EXCL: a temporary that a killed process with our id left behind is passed by, not written
  // into.
  for (int attempt = 0; fd < 0; ++attempt) {
    beside = folder_of(path) / ("." + path.filename().string() + "." + std::to_string(::getpid()) +
                                "-" + std::to_string(attempt) + ".tmp");
    fd = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && (errno != EEXIST || attempt >= 1000)) {
      fail_write(path, why_not_opened(path, errno));
    }
  }
  OpenFile file(fd);
  TemporaryFile temporary(beside);
  write(fd);
  if (::fsync(fd) != 0) fail_write(path, errno_text(errno));
  if (file.close() != 0) fail_write(path, errno_text(errno));
  if (::rename(beside.c_str(), path.c_str()) != 0) fail_write(path, errno_text(errno));
  temporary.keep();
  sync_folder(folder_of(path));
}

}  // namespace

void write_all(int fd, const void* bytes, size_t count) {
  const char* next = static_cast<const char*>(bytes);
  while (count > 0) {
    const ssize_t written = ::write(fd, next, count);
    if (written < 0) {
      if (errno == EINTR) continue;
      throw WriteError(errno_text(errno));
    }
    next += written;
    count -= static_cast<size_t>(written);
  }
}

void sync_folder(const std::filesystem::path& folder) {
  const OpenFile file(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (file.fd() < 0) throw Error(folder.string() + ": cannot be opened: " + errno_text(errno));
  // Some network file systems have no fsync for folders and say EINVAL: their renames last anyway.
  if (::fsync(file.fd()) != 0 && errno != EINVAL && errno != ENOTSUP) {
    throw Error(folder.string() + ": fsync failed: " + errno_text(errno));
  }
}

void atomic_write(const std::filesystem::path& path, const std::function<void(int fd)>& write) {
  try {
    struct stat status;
    const bool exists = ::stat(path.c_str(), &status) == 0;
    if (exists && S_ISDIR(status.st_mode)) fail_write(path, "it is a folder");
    if (exists && !S_ISREG(status.st_mode)) return write_through(path, write);
    // A link stays a link: the file it leads to is replaced.
    std::error_code ignored;
    const auto target = exists ? std::filesystem::canonical(path, ignored) : path;
    replace_whole(target.empty() ? path : target, write);
  } catch (const WriteError& error) {
    fail_write(path, error.what());
  }
}

void atomic_write(const std::filesystem::path& path, std::string_view bytes) {
  atomic_write(path, [&](int fd) { write_all(fd, bytes.data(), bytes.size()); });
}

}  // namespace finer
