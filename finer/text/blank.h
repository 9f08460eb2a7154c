#pragma once

#include <string_view>

namespace finer {

/// `text` without blanks at its start, at its end, or at both. A blank is what Python's str.strip()
/// takes for one (Unicode white space and the separators 1c..1f), read as UTF-8; a byte that is no
/// UTF-8 is no blank.
std::string_view strip_left(std::string_view text);
std::string_view strip_right(std::string_view text);
std::string_view strip(std::string_view text);

}  // namespace finer
