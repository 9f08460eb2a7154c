#include "finer/core/scalar_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <system_error>

namespace finer {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

size_t skip_digits(std::string_view text, size_t at) {
  while (at < text.size() && is_digit(text[at])) ++at;
  return at;
}

template <class Whole>
NumberFault parse_whole_as(std::string_view text, Whole& value) {
  size_t first = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  if (first == text.size() || skip_digits(text, first) != text.size()) {
    return NumberFault::kNotANumber;
  }
  if (text[first] == '0' && text.size() > first + 1) return NumberFault::kNotANumber;
  if (text[0] == '+') text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  // from_chars takes no sign for unsigned types: "-0" and "-5" are out of range there.
  return error == std::errc() && end == text.data() + text.size() ? NumberFault::kNone
                                                                  : NumberFault::kOutOfRange;
}

}  // namespace

NumberFault parse_whole(std::string_view text, int64_t& value) {
  return parse_whole_as(text, value);
}
NumberFault parse_whole(std::string_view text, uint64_t& value) {
  return parse_whole_as(text, value);
}

NumberFault parse_real(std::string_view text, double& value) {
  const bool has_plus = !text.empty() && text[0] == '+';  // which from_chars does not take
  if (has_plus) text.remove_prefix(1);
  size_t at = !has_plus && !text.empty() && text[0] == '-' ? 1 : 0;
  const size_t whole_end = skip_digits(text, at);
  size_t digits = whole_end - at;
  at = whole_end;
  if (at < text.size() && text[at] == '.') {
    const size_t end = skip_digits(text, at + 1);
    digits += end - at - 1;
    at = end;
  }
  if (digits == 0) return NumberFault::kNotANumber;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
    const size_t end = skip_digits(text, at);
    if (end == at) return NumberFault::kNotANumber;
    at = end;
  }
  if (at != text.size()) return NumberFault::kNotANumber;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range || !std::isfinite(value)) {
    return NumberFault::kOutOfRange;
  }
  return error == std::errc() && end == text.data() + text.size() ? NumberFault::kNone
                                                                  : NumberFault::kNotANumber;
}

bool reads_as_bool_or_number(std::string_view text) {
  double ignored = 0;
  return text == "true" || text == "false" || parse_real(text, ignored) != NumberFault::kNotANumber;
}

std::string real_text(double value) {
  std::array<char, 64> buffer;
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  std::string text(buffer.data(), end);
  if (!std::isfinite(value) || text.find('.') != std::string::npos) return text;
  const size_t exponent = std::min(text.find('e'), text.size());
  return text.insert(exponent, ".0");
}

std::string bound_text(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) {
    return std::to_string(static_cast<int64_t>(value));
  }
  return real_text(value);
}

std::string yaml_text(const std::string& text) {
  const auto is_bare = [](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '/' || c == '.' || c == '-';
  };
  static const std::array<std::string_view, 9> kWords = {"null", "true", "false", "yes", "no",
                                                         "on",   "off",  "y",     "n"};
  std::string lower = text;
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  // Only text that begins with a letter, "/" or "_" stays bare, and no word that some YAML takes
  // for a value.
  const bool starts_bare =
      !text.empty() && is_bare(text[0]) && !is_digit(text[0]) && text[0] != '.' && text[0] != '-';
  if (starts_bare && std::all_of(text.begin(), text.end(), is_bare) &&
      std::find(kWords.begin(), kWords.end(), lower) == kWords.end()) {
    return text;
  }
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      static const char* const kHex = "0123456789abcdef";
      quoted += "\\x";
      quoted += kHex[byte >> 4];
      quoted += kHex[byte & 15];
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

}  // namespace finer
