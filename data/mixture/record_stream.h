#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace finer::data {

/// The records of a LLaVA file (JSON array, or objects one after the other as in JSONL) as they
/// stand in it: read once from front to end in pieces, so that memory does not grow with the file.
///
/// Strings, escapes and nesting are followed, as in record_index.h; what is inside a record is not
/// looked at.
class RecordStream {
 public:
  /// Throws: DataError "FILE: cannot be opened: reason".
  explicit RecordStream(const std::filesystem::path& file);
  ~RecordStream();
  RecordStream(const RecordStream&) = delete;
  RecordStream& operator=(const RecordStream&) = delete;

  /// The next record's text, valid until the next call; false at the end of the file.
  /// Throws: DataError "FILE: record I at byte B: reason".
  bool next(std::string_view& record);
  uint64_t bytes_read() const { return base_ + filled_; }

 private:
  bool refill();
  int peek();
  void start();
  std::string_view take_record();
  [[noreturn]] void fail(size_t at, const std::string& reason) const;

  enum class Form { kUnknown, kArray, kLines };

  std::string name_;
  int fd_ = -1;
  std::string buffer_;
  size_t at_ = 0, filled_ = 0;  // place in the buffer, bytes in it
  uint64_t base_ = 0;           // place of the buffer's first byte in the file
  int64_t count_ = 0;           // records given out
  Form form_ = Form::kUnknown;
  bool is_done_ = false;
};

/// Checks one record's JSON and returns the text of its key "image", "" where it has none.
/// Throws: DataError with the reason.
std::string image_of_record(std::string_view record);

/// Appends the text without the blanks that stand outside of strings: one line, whatever it was.
void append_compact(std::string& out, std::string_view record);

}  // namespace finer::data
