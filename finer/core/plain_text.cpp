#include "finer/core/plain_text.h"

#include "finer/core/quote.h"

#include <fstream>
#include <system_error>

namespace finer {

namespace {

namespace fs = std::filesystem;

constexpr uintmax_t kMaxFileBytes = 1 << 20;

// Length of the UTF-8 sequence at `at`, 0 where it is broken.
size_t utf8_length(const std::string& text, size_t at) {
  const auto byte = [&](size_t i) {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u;
  };
  const auto first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const unsigned lead = first << 8 | byte(1);
  const bool is_overlong =
      (lead >> 8 == 0xe0 && byte(1) < 0xa0) || (lead >> 8 == 0xf0 && byte(1) < 0x90);
  const bool is_no_character =
      (lead >> 8 == 0xed && byte(1) > 0x9f) || (lead >> 8 == 0xf4 && byte(1) > 0x8f);
  return is_overlong || is_no_character ? 0 : length;
}

}  // namespace

std::string read_small_file(const fs::path& file, std::string& text) {
  std::error_code error;
  const auto status = fs::status(file, error);
  if (status.type() == fs::file_type::not_found) return "is not there; expected a YAML file";
  if (error) return "cannot be read: " + error.message();
  if (!fs::is_regular_file(status)) return "is no regular file; expected a YAML file";
  const auto bytes = fs::file_size(file, error);
  if (error) return "cannot be read: " + error.message();
  if (bytes > kMaxFileBytes) {
    return "has " + std::to_string(bytes) + " bytes; expected a YAML file of at most 1 MiB";
  }
  std::ifstream stream(file, std::ios::binary);
  text.resize(bytes);
  if (!stream || !stream.read(text.data(), static_cast<std::streamsize>(bytes))) {
    return "cannot be read";
  }
  return "";
}

std::optional<BadText> find_bad_text(const std::string& text) {
  BadText bad;
  for (size_t at = 0; at < text.size();) {
    const size_t length = utf8_length(text, at);
    const auto byte = static_cast<unsigned char>(text[at]);
    if (length == 0) {
      bad.what = "found bytes that are not UTF-8; expected a text file in UTF-8";
      return bad;
    }
    if ((byte < 0x20 && byte != '\n' && byte != '\r' && byte != '\t') || byte == 0x7f) {
      bad.what =
          "found the control character " + quote(text.substr(at, 1)) + "; expected plain text";
      return bad;
    }
    bad.line += byte == '\n';
    at += length;
  }
  return std::nullopt;
}

}  // namespace finer
