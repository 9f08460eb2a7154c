#pragma once

#include "finer/eval/gallery.h"
#include "finer/eval/report_parts.h"
#include "finer/eval/result_table.h"
#include "finer/train/run_facts.h"

#include <string>
#include <vector>

namespace finer {

/// What report.html of an evaluation shows, in this order. Empty parts are left out.
struct EvalReport {
  std::string kicker = "finer evaluation";
  std::string title;                       // "Birds left out"
  std::string lead;                        // one or two sentences: what is shown here
  std::string when;                        // date and time of the end
  std::vector<RunFact> headline;           // large figures: {"ATTR SEEK, held-out", "74.2%"}
  std::vector<ReportSection> first;        // before the result table: the story's own tables
  std::vector<ResultRow> rows;             // as a table and as bars of EM
  std::vector<DifferenceRow> differences;  // as a table
  std::string interval_note;               // "95 % bootstrap over concepts, 10,000 resamples"
  std::vector<ReportSection> more;         // probes, per-class tables, confusions, curves
  std::vector<GalleryItem> gallery;
  std::vector<ReportSection> last;   // caveats
  std::vector<RunFact> environment;  // version and commit, device, models, seeds
  std::string recipe_yaml;
};

/// One self-contained page: no request leaves it, it reads from file://, on light and dark screens
/// of 400 px and more. All texts are escaped. Throws: std::logic_error when a picture's mime is
/// none of the four or sizes of a part disagree.
std::string render(const EvalReport& report);

/// The rows as parts of a page, for reports that show a selection of them in a section of their
/// own: a table or chart a level, the sets in order of their first row, the models of a set side by
/// side.
std::vector<ReportTable> result_report_tables(const std::vector<ResultRow>& rows);
std::vector<ReportBars> result_report_bars(const std::vector<ResultRow>& rows);  // EM
ReportTable difference_report_table(const std::vector<DifferenceRow>& rows);

}  // namespace finer
