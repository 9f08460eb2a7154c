#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>

namespace finer::data {

/// A file's bytes, mapped, for one walk from front to back: what has been read can be given back,
/// so that a file of gigabytes costs a window of memory.
class MappedText {
 public:
  /// Throws: DataError with the path and errno's text.
  explicit MappedText(const std::filesystem::path& path);
  ~MappedText();
  MappedText(const MappedText&) = delete;
  MappedText& operator=(const MappedText&) = delete;

  std::string_view text() const { return {bytes_, size_}; }
  /// Bytes before `offset` are not needed any more; cheap to call often.
  void release_before(size_t offset);

 private:
  const char* bytes_ = nullptr;
  size_t size_ = 0;
  size_t released_ = 0;
};

}  // namespace finer::data
