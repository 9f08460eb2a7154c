#pragma once

#include <filesystem>
#include <vector>

namespace finer::cli {

/// What several evaluations of one recipe agree on (other seeds of the same experiment): prints a
/// row a cell of their results.json: mean over the evaluations with its 95 % interval (Student's
/// t), the lowest and the highest, and the same of the differences. Throws: DataError naming the
/// file that is missing, broken, or has other rows than the first one.
void summarise_seeds(const std::vector<std::filesystem::path>& evaluations);

}  // namespace finer::cli
