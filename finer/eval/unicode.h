#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace finer {

/// Text as Python's str sees it, so that scores equal those of a Python program. Bytes that are no
/// UTF-8 are kept as they are, one by one, and are no letters.
///
/// Tables: finer/eval/unicode_tables.inc, written by tests/reference/unicode_tables.py from the
/// Python it runs in (Unicode 14 for 3.11).

/// str.lower(): full mapping, with the final form of sigma.
std::string lower_case(std::string_view text);

/// str.split() with no argument; the words are views of `text`.
std::vector<std::string_view> split_words(std::string_view text);

/// One character at the front of a text.
struct Character {
  char32_t code = 0;  // 0x110000 + byte where the byte is no part of valid UTF-8
  size_t length = 1;  // bytes
};
Character front_character(std::string_view text);  // of a text that is not empty

/// str.isspace() and re's \w of one character.
bool is_blank(char32_t code);
bool is_word_character(char32_t code);

}  // namespace finer
