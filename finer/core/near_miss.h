#pragma once

#include <string>
#include <vector>

namespace finer {

/// The candidate with the fewest edits from `word`, or "" where none is near (more than a third of
/// its letters).
std::string nearest(const std::string& word, const std::vector<std::string>& candidates);

/// "; did you mean \"x\"?" or, where nothing is near, "; expected one of a, b, c".
std::string did_you_mean(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace finer
