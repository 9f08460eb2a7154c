#pragma once

#include <bit>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string_view>

namespace finer {

/// A file mapped into memory, read-only, for as long as anyone holds it.
///
/// A file that another process shortens while it is mapped ends this one with SIGBUS: our own
/// writers never do that, they rename (core/atomic_file.h).
class MappedFile {
 public:
  /// Throws: CheckpointError for a path that is missing, not readable or not a regular file.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::string_view bytes() const { return bytes_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  MappedFile(std::filesystem::path path, std::string_view bytes);

  std::filesystem::path path_;
  std::string_view bytes_;
};

/// The little-endian number at `offset`; the caller has checked that it lies within `bytes`.
template <class Number>
Number number_at(std::string_view bytes, size_t offset) {
  static_assert(std::endian::native == std::endian::little, "files are read in place");
  Number value;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

}  // namespace finer
