#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "finer/text/conversation.h"

namespace finer::data {

/// One conversation, checked: turns alternate human, gpt, ...; `<image>` stands in it exactly when there is a picture.
struct Sample {
  std::string id;                    // as in the file, numbers included; the index where the file has none
  std::optional<std::string> image;  // relative to the set's image root
  std::vector<Turn> turns;
};

/// Reads one record of LLaVA's form from its JSON text.
/// Throws: DataError with the reason; the caller knows file and index.
Sample parse_sample(std::string_view json_text, int64_t index);

/// `root / relative`, refused when absolute or when it leaves `root` ("..", a link that leads out is fine).
/// Throws: DataError.
std::filesystem::path resolve_inside(const std::filesystem::path& root, const std::string& relative);

}  // namespace finer::data
