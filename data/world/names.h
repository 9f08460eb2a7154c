#pragma once

#include "finer/core/rng.h"

#include <string>
#include <string_view>
#include <vector>

namespace finer::data {

/// In how many letters two words of one length differ.
int letters_apart(std::string_view a, std::string_view b);

/// Holds, or is, a word of a small list: names that mean something, or that offend.
bool is_avoided_name(std::string_view name);

/// A name of seven letters, consonants and vowels in turn ("pezesus"): at least two letters apart
/// from each of `used`, and not avoided.
std::string draw_name(const std::vector<std::string>& used, Rng& rng);

}  // namespace finer::data
