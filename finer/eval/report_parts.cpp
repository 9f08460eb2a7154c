#include "finer/eval/report_parts.h"

#include "finer/core/error.h"
#include "finer/train/html_text.h"
#include "finer/train/readable.h"

#include <algorithm>
#include <cmath>

namespace finer {
namespace {

constexpr size_t kMostNarrowColumns = 4;  // of tables that may stand side by side

std::string percent(double share, bool has_sign) {
  if (!std::isfinite(share)) return "";
  const std::string text = readable_fixed(100 * share, 1);
  if (text == "-0.0") return "0.0";
  return has_sign && share > 0 && text != "0.0" ? "+" + text : text;
}

std::string title_html(const std::string& title, const std::string& note) {
  std::string html;
  if (!title.empty()) html += "<h3>" + html_text(title) + "</h3>";
  if (!note.empty()) html += "<p class=\"note\">" + html_text(note) + "</p>";
  return html.empty() ? "" : "<header class=\"part\">" + html + "</header>";
}

std::string cell_html(const ReportCell& cell, bool is_name, bool is_number) {
  std::string kind = is_number ? "num" : "";
  if (cell.is_strong) kind += kind.empty() ? "strong" : " strong";
  std::string html = is_name ? "<th scope=\"row\"" : "<td";
  if (!kind.empty()) html += " class=\"" + kind + "\"";
  html += "><bdi>" + html_text(cell.text) + "</bdi>";
  if (!cell.note.empty()) html += "<span class=\"under-cell\">" + html_text(cell.note) + "</span>";
  return html + (is_name ? "</th>" : "</td>");
}

}  // namespace

ReportCell percent_cell(const Interval& share) {
  ReportCell cell;
  cell.text = percent(share.mean, false);
  if (share.low != share.high) {
    cell.note = percent(share.low, false) + "\u2013" + percent(share.high, false);
  }
  return cell;
}

ReportCell difference_cell(const Interval& difference) {
  ReportCell cell;
  cell.text = percent(difference.mean, true);
  if (difference.low != difference.high) {
    cell.note = percent(difference.low, true) + " to " + percent(difference.high, true);
  }
  return cell;
}

ReportCell text_cell(std::string text) {
  ReportCell cell;
  cell.text = std::move(text);
  return cell;
}

std::string table_html(const ReportTable& table) {
  if (table.rows.empty()) return "";
  const size_t width = table.columns.size();
  std::string html =
      "<div class=\"part-box" + std::string(width <= kMostNarrowColumns ? " narrow" : "") + "\">" +
      title_html(table.title, table.note) +
      "<div class=\"card scroll\" tabindex=\"0\"><table class=\"figures\"><thead><tr>";
  for (const auto& column : table.columns) {
    html += std::string("<th scope=\"col\"") + (column.is_number ? " class=\"num\"" : "") + ">" +
            html_text(column.name) + "</th>";
  }
  html += "</tr></thead><tbody>\n";
  for (const auto& row : table.rows) {
    FINER_CHECK(row.size() == width || row.size() == 1, "a cell for each column");
    html += "<tr>";
    if (row.size() == 1 && width > 1) {
      html += "<th scope=\"rowgroup\" class=\"heading\" colspan=\"" + std::to_string(width) +
              "\"><bdi>" + html_text(row[0].text) + "</bdi>" +
              (row[0].note.empty() ? ""
                                   : "<span class=\"note\">" + html_text(row[0].note) + "</span>") +
              "</th>";
    } else {
      for (size_t i = 0; i < width; ++i)
        html += cell_html(row[i], i == 0, table.columns[i].is_number);
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div></div>\n";
}

std::string ReportColours::of(const std::string& name, bool is_alone) {
  auto found = std::find(names_.begin(), names_.end(), name);
  if (found == names_.end()) {
    if (is_alone) return "own";
    found = names_.insert(names_.end(), name);
  }
  return "s" + std::to_string(static_cast<size_t>(found - names_.begin()) % kCount);
}

std::string section_html(const ReportSection& section, ReportColours& colours) {
  std::string html = "<section class=\"story\">";
  if (!section.title.empty()) html += "<h2>" + html_text(section.title) + "</h2>\n";
  for (const auto& paragraph : section.paragraphs) {
    html += "<p class=\"prose\">" + html_text(paragraph) + "</p>\n";
  }
  if (!section.points.empty()) {
    html += "<ul class=\"prose\">";
    for (const auto& point : section.points) html += "<li>" + html_text(point) + "</li>";
    html += "</ul>\n";
  }
  if (!section.bars.empty()) {
    html += "<div class=\"figures-grid\">";
    for (const auto& bars : section.bars) html += bars_html(bars, colours);
    html += "</div>\n";
  }
  if (!section.tables.empty()) {
    const bool has_wide =
        std::any_of(section.tables.begin(), section.tables.end(),
                    [](const auto& table) { return table.columns.size() > kMostNarrowColumns; });
    const bool is_grid = section.tables.size() > 1 && !has_wide;
    if (is_grid) html += "<div class=\"tables-grid\">";
    for (const auto& table : section.tables) html += table_html(table);
    if (is_grid) html += "</div>\n";
  }
  if (!section.lines.empty()) {
    html += "<div class=\"figures-grid\">";
    for (const auto& lines : section.lines) html += lines_html(lines, colours);
    html += "</div>\n";
  }
  return html + "</section>\n";
}

}  // namespace finer
