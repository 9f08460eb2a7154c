#include "finer/eval/text_table.h"

#include <algorithm>
#include <cstdint>

namespace finer {

namespace {

size_t text_width(const std::string& text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xc0) != 0x80; }));
}

}  // namespace

std::string text_table(const std::vector<std::vector<std::string>>& rows,
                       const std::vector<bool>& is_number) {
  std::vector<size_t> widths(is_number.size(), 0);
  for (size_t column = 0; column < widths.size(); ++column) {
    const bool is_used = std::any_of(rows.begin() + 1, rows.end(),
                                     [&](const auto& row) { return !row[column].empty(); });
    if (!is_used) continue;
    for (const auto& row : rows) widths[column] = std::max(widths[column], text_width(row[column]));
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (size_t column = 0; column < widths.size(); ++column) {
      if (widths[column] == 0) continue;
      const std::string room(widths[column] - text_width(row[column]), ' ');
      if (!line.empty()) line += "  ";
      line += is_number[column] ? room + row[column] : row[column] + room;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

}  // namespace finer
