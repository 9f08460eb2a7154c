#include "data/mixture/record_stream.h"

#include "data/json_text.h"
#include "finer/core/error.h"
#include "finer/core/quote.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace finer::data {

namespace {

constexpr size_t kPiece = size_t{1} << 20;
constexpr size_t kMostRecordBytes = size_t{64} << 20;
constexpr size_t kMostDepth = 256;

bool is_json_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// Whether the quote at `at` closes the string whose text begins at `begin`: an even number of
// backslashes before it.
bool closes_string(const std::string& text, size_t begin, size_t at) {
  size_t slash = at;
  while (slash > begin && text[slash - 1] == '\\') --slash;
  return (at - slash) % 2 == 0;
}

}  // namespace

RecordStream::RecordStream(const std::filesystem::path& file) : name_(file.string()) {
  fd_ = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat info {};
  const bool is_open = fd_ >= 0 && ::fstat(fd_, &info) == 0;
  const std::string fault = !is_open ? std::string("cannot be opened: ") + std::strerror(errno)
                            : S_ISREG(info.st_mode) ? ""
                                                    : "is not a file; expected JSON or JSONL";
  if (fault.empty()) return;
  if (fd_ >= 0) ::close(fd_);
  throw DataError(name_ + ": " + fault);
}

RecordStream::~RecordStream() { ::close(fd_); }

void RecordStream::fail(size_t at, const std::string& reason) const {
  throw DataError(name_ + ": record " + std::to_string(count_) + " at byte " +
                  std::to_string(base_ + at) + ": " + reason);
}

// Drops what lies before at_ and reads more behind the rest; false at the end of the file.
bool RecordStream::refill() {
  buffer_.erase(0, at_);
  base_ += at_;
  filled_ -= at_;
  at_ = 0;
  if (filled_ > kMostRecordBytes) fail(0, "is longer than 64 MiB");
  if (buffer_.size() < filled_ + kPiece) buffer_.resize(filled_ + kPiece);
  ssize_t count = 0;
  do {
    count = ::read(fd_, buffer_.data() + filled_, buffer_.size() - filled_);
  } while (count < 0 && errno == EINTR);
  if (count < 0) throw DataError(name_ + ": cannot be read: " + std::strerror(errno));
  filled_ += static_cast<size_t>(count);
  return count > 0;
}

// The next byte that is no blank, -1 at the end of the file.
int RecordStream::peek() {
  for (;;) {
    while (at_ < filled_ && is_json_blank(buffer_[at_])) ++at_;
    if (at_ < filled_) return static_cast<unsigned char>(buffer_[at_]);
    if (!refill()) return -1;
  }
}

void RecordStream::start() {
  refill();
  if (std::string_view(buffer_.data(), filled_).starts_with("\xef\xbb\xbf")) at_ = 3;
  const int first = peek();
  if (first < 0) throw DataError(name_ + ": is empty; expected conversations, JSON or JSONL");
  if (first != '[' && first != '{') {
    throw DataError(name_ + ": starts with " + quote(std::string(1, static_cast<char>(first))) +
                    "; expected '[' (a JSON array of records) or '{' (JSONL)");
  }
  form_ = first == '[' ? Form::kArray : Form::kLines;
  if (form_ == Form::kArray) ++at_;
  if (form_ == Form::kArray && peek() == ']') {
    ++at_;
    is_done_ = true;
  }
}

bool RecordStream::next(std::string_view& record) {
  const bool is_first = form_ == Form::kUnknown;
  if (is_first) start();
  if (!is_done_ && !is_first && form_ == Form::kArray) {
    const int byte = peek();
    if (byte != ',' && byte != ']') {
      fail(at_, byte < 0 ? "the file ends here; expected ',' or ']'" : "expected ',' or ']'");
    }
    ++at_;
    is_done_ = byte == ']';
  }
  const int byte = peek();
  if (is_done_ || (form_ == Form::kLines && byte < 0)) {
    if (byte >= 0) fail(at_, "expected the end of the file after ']'");
    return false;
  }
  if (byte != '{') {
    fail(at_, byte < 0 ? "the file ends here; expected a record" : "expected a record '{...}'");
  }
  record = take_record();
  ++count_;
  return true;
}

// at_: at the record's '{'.
std::string_view RecordStream::take_record() {
  std::string open;  // the bracket that closes each open level
  bool in_string = false;
  size_t string_begin = 0;
  for (size_t i = 0;; ++i) {  // i and string_begin count from at_, which refill() moves
    if (at_ + i == filled_ && !refill()) {
      fail(at_, in_string ? "the file ends inside it (a string is not closed)"
                          : "the file ends inside it");
    }
    if (in_string) {
      const char* begin = buffer_.data() + at_ + i;
      const auto* quote_at = static_cast<const char*>(std::memchr(begin, '"', filled_ - at_ - i));
      i = (quote_at != nullptr ? static_cast<size_t>(quote_at - buffer_.data()) : filled_) - at_;
      if (quote_at == nullptr) {
        --i;  // goes on behind the last byte
      } else {
        in_string = !closes_string(buffer_, at_ + string_begin, at_ + i);
      }
      continue;
    }
    const char c = buffer_[at_ + i];
    if (c == '"') {
      in_string = true;
      string_begin = i + 1;
    } else if (c == '{' || c == '[') {
      if (open.size() == kMostDepth) fail(at_ + i, "nested deeper than 256");
      open += c == '{' ? '}' : ']';
    } else if (c == '}' || c == ']') {
      if (open.back() != c) {
        fail(at_ + i, std::string("expected '") + open.back() + "', found '" + c + "'");
      }
      open.pop_back();
      if (open.empty()) {
        const std::string_view record(buffer_.data() + at_, i + 1);
        at_ += i + 1;
        return record;
      }
    }
  }
}

std::string image_of_record(std::string_view record) {
  std::string image;
  JsonCursor json(record);
  json.object([&](std::string_view key) {
    if (key == "image" && json.peek() == '"') {
      json.string(image);
    } else {
      json.skip();
    }
  });
  json.end();
  return image;
}

void append_compact(std::string& out, std::string_view record) {
  bool in_string = false;
  for (size_t i = 0; i < record.size(); ++i) {
    const char c = record[i];
    if (in_string && c == '\\') {
      out += c;
      if (++i < record.size()) out += record[i];
      continue;
    }
    if (c == '"') in_string = !in_string;
    if (in_string || !is_json_blank(c)) out += c;
  }
}

}  // namespace finer::data
