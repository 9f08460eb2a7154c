#include "data/record_index.h"

#include "finer/core/error.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>

namespace finer::data {

namespace {

constexpr size_t kMaxDepth = 256;

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// True for the bytes that matter outside of strings.
constexpr std::array<bool, 256> kStructural = [] {
  std::array<bool, 256> table{};
  for (const char c : {'"', '{', '}', '[', ']'}) table[static_cast<unsigned char>(c)] = true;
  return table;
}();

std::string show_byte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  if (byte > 0x20 && byte < 0x7f) return std::string("'") + c + "'";
  char text[16];
  std::snprintf(text, sizeof text, "byte 0x%02x", byte);
  return text;
}

class RecordScanner {
 public:
  RecordScanner(std::string_view bytes, const std::string& name)
      : begin_(bytes.data()), end_(bytes.data() + bytes.size()), name_(name) {}

  std::vector<RecordExtent> scan() {
    const char* p = begin_;
    if (end_ - p >= 3 && std::memcmp(p, "\xef\xbb\xbf", 3) == 0) p += 3;
    p = skip_blank(p, end_);
    if (p == end_) {
      throw DataError(name_ + ": is empty; expected a JSON array of records, or JSONL");
    }
    if (*p == '[') {
      scan_array(p + 1);
    } else if (*p == '{') {
      scan_lines(p);
    } else {
      throw DataError(name_ + ": starts with " + show_byte(*p) +
                      "; expected '[' (a JSON array of records) or '{' (JSONL)");
    }
    return std::move(records_);
  }

 private:
  void scan_array(const char* p) {
    p = skip_blank(p, end_);
    if (p < end_ && *p == ']') return expect_end(p + 1);
    for (;;) {
      if (p == end_) fail(p, "the file ends here; expected a record");
      if (*p != '{') fail(p, "expected a record '{...}', found " + show_byte(*p));
      p = take_record(p, end_, "the file ends inside it");
      p = skip_blank(p, end_);
      if (p == end_) fail(p, "the file ends here; expected ',' or ']'");
      if (*p == ']') return expect_end(p + 1);
      if (*p != ',') fail(p, "expected ',' or ']', found " + show_byte(*p));
      p = skip_blank(p + 1, end_);
    }
  }

  void scan_lines(const char* p) {
    while (p < end_) {
      const auto* newline =
          static_cast<const char*>(std::memchr(p, '\n', static_cast<size_t>(end_ - p)));
      const char* line_end = newline ? newline : end_;
      p = skip_blank(p, line_end);
      if (p < line_end) {
        if (*p != '{') fail(p, "expected a record '{...}', found " + show_byte(*p));
        p = take_record(p, line_end,
                        newline ? "the line ends inside it; JSONL holds one whole record a line"
                                : "the file ends inside it");
        p = skip_blank(p, line_end);
        if (p < line_end) fail(p, "expected the end of the line, found " + show_byte(*p));
      }
      p = newline ? line_end + 1 : end_;
    }
  }

  void expect_end(const char* p) {
    p = skip_blank(p, end_);
    if (p < end_) fail(p, "expected the end of the file after ']', found " + show_byte(*p));
  }

  static const char* skip_blank(const char* p, const char* end) {
    while (p < end && is_blank(*p)) ++p;
    return p;
  }

  // p: at the record's '{'. Returns the byte after its '}'.
  const char* take_record(const char* p, const char* end, const char* cut_short) {
    const char* const start = p;
    size_t depth = 0;
    for (;;) {
      while (p < end && !kStructural[static_cast<unsigned char>(*p)]) ++p;
      if (p == end) fail(start, cut_short);
      if (*p == '"') {
        p = skip_string(p + 1, end);
        if (p == nullptr) fail(start, std::string(cut_short) + " (a string is not closed)");
        continue;
      }
      if (*p == '{' || *p == '[') {
        if (depth == kMaxDepth) fail(p, "nested deeper than " + std::to_string(kMaxDepth));
        open_[depth++] = *p == '{' ? '}' : ']';
      } else {
        const char expected = open_[--depth];
        if (*p != expected) fail(p, "expected " + show_byte(expected) + ", found " + show_byte(*p));
        if (depth == 0) break;
      }
      ++p;
    }
    ++p;
    records_.push_back({static_cast<uint64_t>(start - begin_), static_cast<uint64_t>(p - begin_)});
    return p;
  }

  // p: first byte of a string's text. Returns the byte after its closing quote, null where there is
  // none. A quote closes the string when an even number of backslashes stands right before it.
  static const char* skip_string(const char* p, const char* end) {
    const char* from = p;
    for (;;) {
      // Keys and roles are short: a call of memchr would cost more than these few compares.
      const char* const near_end = std::min(from + 16, end);
      const char* quote = from;
      while (quote < near_end && *quote != '"') ++quote;
      if (quote == near_end) {
        quote = static_cast<const char*>(std::memchr(quote, '"', static_cast<size_t>(end - quote)));
        if (quote == nullptr) return nullptr;
      }
      const char* slash = quote;
      while (slash > from && slash[-1] == '\\') --slash;
      if ((quote - slash) % 2 == 0) return quote + 1;
      from = quote + 1;
    }
  }

  [[noreturn]] void fail(const char* at, const std::string& reason) const {
    const auto lines = std::count(begin_, at, '\n') + 1;
    throw DataError(name_ + ": record " + std::to_string(records_.size()) + " at byte " +
                    std::to_string(at - begin_) + " (line " + std::to_string(lines) +
                    "): " + reason);
  }

  const char* begin_;
  const char* end_;
  const std::string& name_;
  std::array<char, kMaxDepth> open_{};  // the bracket that closes each open level
  std::vector<RecordExtent> records_;
};

}  // namespace

std::vector<RecordExtent> index_records(std::string_view bytes, const std::string& name) {
  return RecordScanner(bytes, name).scan();
}

}  // namespace finer::data
