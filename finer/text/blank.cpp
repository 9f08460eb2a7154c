#include "finer/text/blank.h"

#include <array>
#include <cstddef>

namespace finer {

namespace {

// Blanks of more than one byte: U+0085, U+00A0, U+1680, U+2000..U+200A, U+2028, U+2029, U+202F,
// U+205F, U+3000.
constexpr std::array<std::string_view, 19> kLongBlanks = {
    "\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x81",
    "\xe2\x80\x82", "\xe2\x80\x83", "\xe2\x80\x84", "\xe2\x80\x85", "\xe2\x80\x86",
    "\xe2\x80\x87", "\xe2\x80\x88", "\xe2\x80\x89", "\xe2\x80\x8a", "\xe2\x80\xa8",
    "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"};

bool is_short_blank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r') || (c >= '\x1c' && c <= '\x1f');
}

// Bytes of the blank that `text` starts with, 0 where it starts with none.
size_t leading_blank(std::string_view text) {
  if (text.empty()) return 0;
  if (is_short_blank(text.front())) return 1;
  for (const auto blank : kLongBlanks) {
    if (text.substr(0, blank.size()) == blank) return blank.size();
  }
  return 0;
}

size_t trailing_blank(std::string_view text) {
  if (text.empty()) return 0;
  if (is_short_blank(text.back())) return 1;
  for (const auto blank : kLongBlanks) {
    if (text.size() >= blank.size() && text.substr(text.size() - blank.size()) == blank) {
      return blank.size();
    }
  }
  return 0;
}

}  // namespace

std::string_view strip_left(std::string_view text) {
  while (const size_t bytes = leading_blank(text)) text.remove_prefix(bytes);
  return text;
}

std::string_view strip_right(std::string_view text) {
  while (const size_t bytes = trailing_blank(text)) text.remove_suffix(bytes);
  return text;
}

std::string_view strip(std::string_view text) { return strip_right(strip_left(text)); }

}  // namespace finer
