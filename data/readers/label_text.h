#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace finer::data {

/// Without the blanks around it (tabs and carriage returns too).
std::string_view trimmed(std::string_view text);

/// "Black_footed_Albatross" -> "Black footed Albatross".
std::string blanks_for_underscores(std::string_view text);

/// "Common Eider (Adult male)" -> "Common Eider": one pair of brackets at the end goes, nested ones
/// with it. A name that is nothing but brackets stays.
std::string without_suffix(std::string_view name);

/// Splits at commas: "Albatross, Seabird" -> two names. Empty names and repeated ones go.
std::vector<std::string> split_at_commas(std::string_view names);

/// Splits at commas and at the word "and": "Ducks, Geese, and Swans" -> three names, while
/// "Sandpipers" stays whole.
std::vector<std::string> split_names(std::string_view names);

}  // namespace finer::data
