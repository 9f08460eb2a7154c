#pragma once

#include <string>
#include <vector>

namespace finer {

/// Rows in columns two blanks apart, the first row the heads. Widths count code points: names may
/// be other than ASCII. A column that is empty below its head falls away.
///
/// is_number  a flag a column: set to the right instead of to the left
std::string text_table(const std::vector<std::vector<std::string>>& rows,
                       const std::vector<bool>& is_number);

}  // namespace finer
