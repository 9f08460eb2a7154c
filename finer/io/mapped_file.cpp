#include "finer/io/mapped_file.h"

#include "finer/core/error.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <system_error>
#include <utility>

namespace finer {

MappedFile::MappedFile(std::filesystem::path path, std::string_view bytes)
    : path_(std::move(path)), bytes_(bytes) {}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<char*>(bytes_.data()), bytes_.size());
}

std::shared_ptr<const MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const auto fail = [&](const std::string& why) {
    throw CheckpointError(path.string() + ": cannot be read: " + why);
  };
  const auto errno_says = [] { return std::generic_category().message(errno); };

  // O_NONBLOCK: opening a pipe by mistake must not wait for its writer.
  const int fd = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) fail(errno_says());
  struct stat status;
  std::string why;
  std::string_view bytes;
  if (::fstat(fd, &status) != 0) {
    why = errno_says();
  } else if (!S_ISREG(status.st_mode)) {
    why = S_ISDIR(status.st_mode) ? "it is a folder, expected a file" : "it is not a regular file";
  } else if (status.st_size > 0) {
    const auto size = static_cast<size_t>(status.st_size);
    void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (address == MAP_FAILED) {
      why = errno_says();
    } else {
      bytes = {static_cast<const char*>(address), size};
    }
  }
  ::close(fd);
  if (!why.empty()) fail(why);
  return std::shared_ptr<const MappedFile>(new MappedFile(path, bytes));
}

}  // namespace finer
