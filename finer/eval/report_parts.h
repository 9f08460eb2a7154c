#pragma once

#include "finer/eval/bootstrap.h"

#include <string>
#include <vector>

namespace finer {

/// Parts of an evaluation's page. All texts are plain text from anywhere: they are escaped.

struct ReportCell {
  std::string text;
  std::string note;        // small, under it: an interval
  bool is_strong = false;  // the figure that the table is about
};

struct ReportColumn {
  std::string name;
  bool is_number = false;  // right-aligned
};

struct ReportTable {
  std::string title;  // may be empty
  std::string note;   // one sentence under the title; may be empty
  std::vector<ReportColumn> columns;
  // As many cells as columns, the first names the row; or one cell: a heading over the rows after
  // it.
  std::vector<std::vector<ReportCell>> rows;
};

/// Groups of bars, one bar a series, with the interval as a line over it.
struct ReportBars {
  std::string title;
  std::string note;
  std::vector<std::string> series;            // "base", "direct", "attr_seek"
  std::vector<std::string> groups;            // "held-out fine"
  std::vector<std::vector<Interval>> values;  // [group][series], shares 0..1; NaN mean: no bar
};

struct ReportLine {
  std::string name;
  std::vector<double> x;  // ascending
  std::vector<double> y;  // as many; NaN where there is none
};

struct ReportLines {
  std::string title;
  std::string note;
  std::string x_name = "step";
  std::vector<ReportLine> lines;  // at most 8
  bool is_log = false;            // the y axis is logarithmic; what is not above 0 is a gap
};

struct ReportSection {
  std::string title;
  std::vector<std::string> paragraphs;
  std::vector<std::string> points;  // a list: caveats
  std::vector<ReportTable> tables;
  std::vector<ReportBars> bars;
  std::vector<ReportLines> lines;
};

/// "72.9" with "65.1-80.2" (an en dash) under it, percent.
ReportCell percent_cell(const Interval& share);
/// With signs: "+71.8", "+60.2 to +80.1".
ReportCell difference_cell(const Interval& difference);
/// Words, left-aligned.
ReportCell text_cell(std::string text);

/// Which colour a name has, the same all over a page: the first name the first one, and so on.
/// There are 8; further names begin again.
class ReportColours {
 public:
  static constexpr size_t kCount = 8;
  /// "s0".."s7", the style sheet's class. A name that stands alone in its chart and has no colour
  /// yet takes the page's own.
  std::string of(const std::string& name, bool is_alone);

 private:
  std::vector<std::string> names_;
};

/// HTML of each part. Throws: std::logic_error when sizes disagree.
std::string table_html(const ReportTable& table);
std::string bars_html(const ReportBars& bars, ReportColours& colours);
std::string lines_html(const ReportLines& lines, ReportColours& colours);
std::string section_html(const ReportSection& section, ReportColours& colours);

}  // namespace finer
