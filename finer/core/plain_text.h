#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace finer {

/// Reads a regular file of at most 1 MiB. Returns what is wrong with it ("is not there; ..."), or
/// "".
std::string read_small_file(const std::filesystem::path& file, std::string& text);

struct BadText {
  int line = 1;
  std::string what;
};

/// The first byte that is no plain UTF-8 text: broken sequences, control characters other than tab
/// and line ends. A YAML library would guess another encoding instead.
std::optional<BadText> find_bad_text(const std::string& text);

}  // namespace finer
