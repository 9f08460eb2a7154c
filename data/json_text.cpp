#include "data/json_text.h"

#include "finer/core/error.h"
#include "finer/core/quote.h"

#include <array>
#include <charconv>

namespace finer::data {

namespace {

constexpr int kMaxDepth = 64;

// Bytes of a JSON string that need no look: ASCII but control characters, quote and backslash.
constexpr std::array<bool, 256> plain_bytes() {
  std::array<bool, 256> plain{};
  for (size_t byte = 0x20; byte < 0x80; ++byte) plain[byte] = byte != '"' && byte != '\\';
  return plain;
}
constexpr auto kPlain = plain_bytes();

uint8_t byte_at(std::string_view text, size_t at) { return static_cast<uint8_t>(text[at]); }

}  // namespace

size_t utf8_length(std::string_view text) {
  if (text.empty()) return 0;
  const uint8_t first = byte_at(text, 0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte_at(text, i) & 0xC0) != 0x80) return 0;
  }
  const uint8_t second = byte_at(text, 1);
  const bool is_wrong = (first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
                        (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F);
  return is_wrong ? 0 : length;
}

bool is_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    if (byte_at(text, at) < 0x80) {
      ++at;
      continue;
    }
    const size_t length = utf8_length(text.substr(at, 4));
    if (length == 0) return false;
    at += length;
  }
  return true;
}

void append_utf8(std::string& out, uint32_t code) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | ((code >> shift) & 0x3F)); };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | (code >> 6));
    tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | (code >> 12));
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0 | (code >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

void append_json_string(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    while (end < text.size() && kPlain[byte_at(text, end)]) ++end;
    out.append(text, at, end - at);
    at = end;
    if (at == text.size()) break;
    const char c = text[at];
    if (byte_at(text, at) >= 0x80) {
      const size_t length = utf8_length(text.substr(at, 4));
      if (length == 0) throw DataError(quote(text) + " is not UTF-8");
      out.append(text, at, length);
      at += length;
      continue;
    }
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      default:
        out += "\\u00";
        out += kHex[(c >> 4) & 15];
        out += kHex[c & 15];
    }
    ++at;
  }
  out += '"';
}

void JsonCursor::fail(size_t offset, const std::string& reason) const {
  throw DataError("byte " + std::to_string(offset) + ": " + reason);
}

std::string JsonCursor::found() const {
  if (at_ >= text_.size()) return "the text ends";
  return quote(text_.substr(at_, 1)) + " is there";
}

void JsonCursor::blanks() {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c != ' ' && c != '\n' && c != '\r' && c != '\t') return;
    ++at_;
  }
}

char JsonCursor::peek() {
  blanks();
  if (at_ >= text_.size()) fail(at_, "the text ends; expected a value");
  return text_[at_];
}

void JsonCursor::open(char bracket, const char* what) {
  if (peek() != bracket) fail(at_, found() + "; expected " + what);
  ++at_;
}

// Past the comma, or past the closing bracket: false.
bool JsonCursor::next_item(char close, bool first) {
  blanks();
  if (at_ < text_.size() && text_[at_] == close) {
    ++at_;
    return false;
  }
  if (first) return true;
  if (at_ >= text_.size() || text_[at_] != ',') {
    fail(at_, found() + "; expected \",\" or \"" + close + "\"");
  }
  ++at_;
  return true;
}

std::string_view JsonCursor::key() {
  if (peek() != '"') fail(at_, found() + "; expected a key");
  const std::string_view name = plain_or_escaped(key_);
  blanks();
  if (at_ >= text_.size() || text_[at_] != ':') fail(at_, found() + "; expected \":\"");
  ++at_;
  return name;
}

// A string's value: a view of the text where it has no escapes, else of `buffer`.
std::string_view JsonCursor::plain_or_escaped(std::string& buffer) {
  const size_t start = ++at_;
  bool is_view = true;
  size_t copied = start;
  while (true) {
    while (at_ < text_.size() && kPlain[byte_at(text_, at_)]) ++at_;
    if (at_ >= text_.size()) fail(at_, "the text ends inside a string");
    const uint8_t c = byte_at(text_, at_);
    if (c == '"') break;
    if (c >= 0x80) {
      const size_t length = utf8_length(text_.substr(at_, 4));
      if (length == 0) fail(at_, "a string is not UTF-8");
      at_ += length;
    } else if (c == '\\') {
      if (is_view) buffer.clear();
      is_view = false;
      buffer.append(text_, copied, at_ - copied);
      ++at_;
      escape(buffer);
      copied = at_;
    } else {
      fail(at_, "a control character is in a string; expected it escaped");
    }
  }
  const size_t end = at_++;
  if (is_view) return text_.substr(start, end - start);
  buffer.append(text_, copied, end - copied);
  return buffer;
}

uint32_t JsonCursor::hex4() {
  uint32_t code = 0;
  const char* begin = text_.data() + at_;
  if (text_.size() - at_ < 4 || std::from_chars(begin, begin + 4, code, 16).ptr != begin + 4) {
    fail(at_, "expected four hexadecimal digits after \\u");
  }
  at_ += 4;
  return code;
}

void JsonCursor::escape(std::string& value) {
  if (at_ >= text_.size()) fail(at_, "the text ends inside a string");
  const char c = text_[at_++];
  switch (c) {
    case '"':
    case '\\':
    case '/':
      value += c;
      return;
    case 'b':
      value += '\b';
      return;
    case 'f':
      value += '\f';
      return;
    case 'n':
      value += '\n';
      return;
    case 'r':
      value += '\r';
      return;
    case 't':
      value += '\t';
      return;
    case 'u':
      break;
    default:
      fail(at_ - 1, quote(text_.substr(at_ - 1, 1)) + " is no escape");
  }
  uint32_t code = hex4();
  if (code >= 0xD800 && code < 0xE000) {
    const bool has_second = code < 0xDC00 && text_.substr(at_, 2) == "\\u";
    if (has_second) at_ += 2;
    const uint32_t low = has_second ? hex4() : 0;
    if (low < 0xDC00 || low >= 0xE000) fail(at_, "half of a surrogate pair is missing");
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  }
  append_utf8(value, code);
}

void JsonCursor::string(std::string& value) {
  if (peek() != '"') fail(at_, found() + "; expected a string");
  const std::string_view read = plain_or_escaped(value);
  if (read.data() != value.data()) value.assign(read);
}

int64_t JsonCursor::integer() {
  peek();
  const size_t start = at_;
  if (text_[at_] != '-' && (text_[at_] < '0' || text_[at_] > '9')) {
    fail(at_, found() + "; expected a whole number");
  }
  number();
  int64_t value = 0;
  const char* end = text_.data() + at_;
  const auto result = std::from_chars(text_.data() + start, end, value);
  if (result.ec != std::errc() || result.ptr != end) {
    fail(start,
         quote(text_.substr(start, at_ - start), 40) + "; expected a whole number of 64 bits");
  }
  return value;
}

void JsonCursor::number() {
  const size_t start = at_;
  const auto digits = [&] {
    const size_t from = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    if (at_ == from) fail(start, "a number is broken off");
  };
  const auto is_at = [&](const char* set) {
    return at_ < text_.size() && std::string_view(set).find(text_[at_]) != std::string_view::npos;
  };
  if (is_at("-")) ++at_;
  const size_t whole = at_;
  digits();
  if (text_[whole] == '0' && at_ - whole > 1) fail(start, "a number begins with 0");
  if (is_at(".")) {
    ++at_;
    digits();
  }
  if (is_at("eE")) {
    ++at_;
    if (is_at("+-")) ++at_;
    digits();
  }
}

void JsonCursor::literal(std::string_view word) {
  if (text_.substr(at_, word.size()) != word) fail(at_, found() + "; expected a value");
  at_ += word.size();
}

void JsonCursor::skip_value(int depth) {
  if (depth > kMaxDepth) fail(at_, "nested more than " + std::to_string(kMaxDepth) + " deep");
  switch (peek()) {
    case '{':
      object([&](std::string_view) { skip_value(depth + 1); });
      return;
    case '[':
      array([&] { skip_value(depth + 1); });
      return;
    case '"':
      plain_or_escaped(key_);
      return;
    case 't':
      literal("true");
      return;
    case 'f':
      literal("false");
      return;
    case 'n':
      literal("null");
      return;
    case '-':
      number();
      return;
    default:
      if (text_[at_] < '0' || text_[at_] > '9') fail(at_, found() + "; expected a value");
      number();
  }
}

std::string_view JsonCursor::skip() {
  peek();
  const size_t start = at_;
  skip_value(0);
  return text_.substr(start, at_ - start);
}

void JsonCursor::end() {
  blanks();
  if (at_ < text_.size()) fail(at_, found() + "; expected the end");
}

}  // namespace finer::data
