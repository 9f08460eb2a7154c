#include "finer/core/quote.h"

namespace finer {

namespace {

std::string escape_for_quote(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte > 0x7e) {
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

std::string quote(std::string_view text, size_t max_length) {
  if (text.size() <= max_length) return '"' + escape_for_quote(text) + '"';
  const size_t half = max_length / 2;
  return '"' + escape_for_quote(text.substr(0, half)) + "..." +
         escape_for_quote(text.substr(text.size() - half)) + '"';
}

}  // namespace finer
