#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace finer {

/// The texts one after the other, with `between` between them.
inline std::string joined(const std::vector<std::string>& texts, std::string_view between = ", ") {
  std::string out;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (i > 0) out += between;
    out += texts[i];
  }
  return out;
}

}  // namespace finer
