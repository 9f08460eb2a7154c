#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

namespace finer {

/// JSON of a stranger: nested at most 4 deep, at most 4 million values, no key twice in one object.
///
/// where  begins the messages: the file, and the part of it
/// Throws: CheckpointError.
nlohmann::json parse_checked_json(const std::string& where, std::string_view text);

}  // namespace finer
