#include "data/readers/mapped_text.h"

#include "finer/core/error.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace finer::data {

MappedText::MappedText(const std::filesystem::path& path) {
  const auto fail = [&](const char* what) {
    return DataError(path.string() + ": " + what + ": " + std::strerror(errno));
  };
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw fail("cannot be opened");
  struct stat info {};
  const bool is_known = ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  size_ = is_known ? static_cast<size_t>(info.st_size) : 0;
  void* mapped = size_ > 0 ? ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0) : nullptr;
  const int map_errno = errno;
  ::close(fd);
  errno = map_errno;
  if (mapped == MAP_FAILED) throw fail("cannot be mapped");
  if (!is_known) throw DataError(path.string() + ": is not a file");
  if (size_ == 0) return;
  ::madvise(mapped, size_, MADV_SEQUENTIAL);
  bytes_ = static_cast<const char*>(mapped);
}

MappedText::~MappedText() {
  if (bytes_ != nullptr) ::munmap(const_cast<char*>(bytes_), size_);
}

void MappedText::release_before(size_t offset) {
  constexpr size_t kStep = size_t{16} << 20;  // a multiple of every page size
  const size_t end = offset / kStep * kStep;
  if (end <= released_) return;
  ::madvise(const_cast<char*>(bytes_) + released_, end - released_, MADV_DONTNEED);
  released_ = end;
}

}  // namespace finer::data
