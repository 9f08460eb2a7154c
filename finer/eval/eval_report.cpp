#include "finer/eval/eval_report.h"

#include "finer/eval/eval_assets.h"
#include "finer/train/html_text.h"
#include "finer/train/readable.h"
#include "finer/train/report_page.h"

#include <algorithm>
#include <limits>

namespace finer {
namespace {

struct LevelTitle {
  Level level;
  const char* title;
};
constexpr LevelTitle kLevelTitles[] = {
    {Level::kFine, "Fine"}, {Level::kCoarse, "Coarse"}, {Level::kHighCoarse, "Superordinate"}};

void add_once(std::vector<std::string>& names, const std::string& name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
}

std::vector<std::string> set_names(const std::vector<ResultRow>& rows) {
  std::vector<std::string> names;
  for (const auto& row : rows) add_once(names, row.set);
  return names;
}

std::string row_name(const ResultRow& row) {
  return row.condition.empty() ? row.model : row.model + ", " + row.condition;
}

std::vector<std::string> row_names(const std::vector<ResultRow>& rows) {
  std::vector<std::string> names;
  for (const auto& row : rows) add_once(names, row_name(row));
  return names;
}

// One that is not known draws no bar.
Interval no_interval() {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  return {kNan, kNan, kNan};
}

// The set's name, with the number of answers where all of its models gave as many.
ReportCell set_heading(const std::string& set, const std::vector<int64_t>& counts,
                       int64_t num_classes) {
  ReportCell cell = text_cell(set);
  if (std::count(counts.begin(), counts.end(), counts.front()) ==
      static_cast<std::ptrdiff_t>(counts.size())) {
    cell.note = readable_count(counts.front()) + " answers";
    if (num_classes > 0) cell.note += ", " + readable_count(num_classes) + " concepts";
  }
  return cell;
}

// Where they did not, each row says its own.
ReportCell counted_cell(const std::string& text, const ReportCell& heading, int64_t count) {
  ReportCell cell = text_cell(text);
  if (heading.note.empty()) cell.note = readable_count(count) + " answers";
  return cell;
}

std::string sections(const std::vector<ReportSection>& list, ReportColours& colours) {
  std::string html;
  for (const auto& section : list) html += section_html(section, colours);
  return html;
}

ReportSection results_section(const EvalReport& report) {
  ReportSection section;
  section.title = "Scores";
  section.paragraphs.push_back(
      "Percent. EM: the name is in the first 20 words; strict EM: it is the whole answer; F1: over "
      "words." +
      std::string(report.differences.empty()
                      ? ""
                      : " Differences are paired: on the pictures that both models answered."));
  if (!report.interval_note.empty()) section.paragraphs.push_back(report.interval_note);
  section.bars = result_report_bars(report.rows);
  section.tables = result_report_tables(report.rows);
  if (!report.differences.empty()) {
    section.tables.push_back(difference_report_table(report.differences));
  }
  return section;
}

}  // namespace

std::vector<ReportTable> result_report_tables(const std::vector<ResultRow>& rows) {
  std::vector<ReportTable> tables;
  for (const auto& [level, title] : kLevelTitles) {
    ReportTable table;
    table.title = std::string(title) + " names";
    table.columns = {{"Model", false}, {"EM", true}, {"Strict EM", true}, {"F1", true}};
    for (const auto& set : set_names(rows)) {
      std::vector<const ResultRow*> here;
      std::vector<int64_t> counts;
      double best = 0;
      for (const auto& row : rows) {
        if (row.level != level || row.set != set) continue;
        here.push_back(&row);
        counts.push_back(row.count);
        best = std::max(best, row.em.mean);
      }
      if (here.empty()) continue;
      const ReportCell heading = set_heading(set, counts, here.front()->num_classes);
      table.rows.push_back({heading});
      for (const auto* row : here) {
        table.rows.push_back({counted_cell(row_name(*row), heading, row->count),
                              percent_cell(row->em), percent_cell(row->strict_em),
                              percent_cell(row->f1)});
        table.rows.back()[1].is_strong = here.size() > 1 && best > 0 && row->em.mean == best;
      }
    }
    if (!table.rows.empty()) tables.push_back(std::move(table));
  }
  return tables;
}

std::vector<ReportBars> result_report_bars(const std::vector<ResultRow>& rows) {
  // The same models in the same order in each chart, so that a colour means one thing.
  const auto names = row_names(rows);
  std::vector<ReportBars> charts;
  for (const auto& [level, title] : kLevelTitles) {
    ReportBars bars;
    bars.title = std::string(title) + " names";
    bars.note = "EM, percent";
    bars.series = names;
    for (const auto& set : set_names(rows)) {
      std::vector<Interval> values(names.size(), no_interval());
      bool is_there = false;
      for (const auto& row : rows) {
        if (row.level != level || row.set != set) continue;
        const auto place = std::find(names.begin(), names.end(), row_name(row));
        values[static_cast<size_t>(place - names.begin())] = row.em;
        is_there = true;
      }
      if (!is_there) continue;
      bars.groups.push_back(set);
      bars.values.push_back(std::move(values));
    }
    if (!bars.groups.empty()) charts.push_back(std::move(bars));
  }
  return charts;
}

ReportTable difference_report_table(const std::vector<DifferenceRow>& rows) {
  ReportTable table;
  table.title = "Differences";
  table.columns = {{"Points", false}, {"EM", true}, {"Strict EM", true}, {"F1", true}};
  std::vector<std::string> sets;
  for (const auto& row : rows) add_once(sets, row.set);
  for (const auto& set : sets) {
    std::vector<int64_t> counts;
    for (const auto& row : rows) {
      if (row.set == set) counts.push_back(row.count);
    }
    const ReportCell heading = set_heading(set, counts, 0);
    table.rows.push_back({heading});
    for (const auto& [level, title] : kLevelTitles) {
      for (const auto& row : rows) {
        if (row.set != set || row.level != level) continue;
        ReportCell name = text_cell(std::string(title) + " names");
        name.note = row.model + " over " + row.other_model;
        if (!row.condition.empty()) name.note += ", " + row.condition;
        if (heading.note.empty()) name.note += ", " + readable_count(row.count) + " answers";
        table.rows.push_back({name, difference_cell(row.em), difference_cell(row.strict_em),
                              difference_cell(row.f1)});
      }
    }
  }
  return table;
}

std::string render(const EvalReport& report) {
  ReportPage page;
  page.kicker = report.kicker;
  page.title = report.title;
  page.style = kEvalStyle;
  page.script = kEvalScript;
  if (!report.when.empty()) {
    page.under_html += "<p class=\"under\"><span>" + html_text(report.when) + "</span></p>";
  }
  if (!report.lead.empty())
    page.under_html += "<p class=\"lead\">" + html_text(report.lead) + "</p>";

  // The models first, so that they have the same colours in every chart.
  ReportColours colours;
  const auto names = row_names(report.rows);
  for (const auto& name : names) colours.of(name, names.size() == 1);

  std::string& html = page.body_html;
  if (!report.headline.empty()) {
    html += "<ul class=\"tiles\">\n";
    for (const auto& fact : report.headline) html += tile_html(fact.name, fact.value);
    html += "</ul>\n";
  }
  html += sections(report.first, colours);
  if (!report.rows.empty() || !report.differences.empty()) {
    html += section_html(results_section(report), colours);
  }
  html += sections(report.more, colours);
  html += gallery_html(report.gallery);
  html += sections(report.last, colours);
  html += facts_html("Environment", report.environment);
  html += recipe_html(report.recipe_yaml);
  return page_html(page);
}

}  // namespace finer
