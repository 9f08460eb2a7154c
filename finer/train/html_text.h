#pragma once

#include <string>
#include <string_view>

namespace finer {

/// The text with every byte that is not part of valid UTF-8, and every control character but tab
/// and newline, replaced by U+FFFD. A model's answer may end inside a character.
std::string clean_utf8(std::string_view text);

/// Text as it may stand between tags or within a quoted attribute, cleaned first.
std::string html_text(std::string_view text);

/// Source: RFC 4648, 4.
std::string base64(std::string_view bytes);

}  // namespace finer
