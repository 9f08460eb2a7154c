#include "finer/train/run_report.h"

#include "finer/train/html_text.h"
#include "finer/train/readable.h"
#include "finer/train/report_assets.h"
#include "finer/train/report_chart.h"
#include "finer/train/report_page.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <functional>
#include <limits>

namespace finer {
namespace {

constexpr size_t kMostLastSteps = 50;

struct RunSums {
  int64_t samples = 0, tokens = 0, label_tokens = 0, peak_bytes = 0, num_skipped = 0;
  double seconds = 0, data_wait = 0;
  double last_loss = std::numeric_limits<double>::quiet_NaN();
  size_t num_last = 0;  // steps that last_loss is the mean of
};

RunSums run_sums(const std::vector<StepMetrics>& metrics) {
  RunSums sums;
  for (const auto& m : metrics) {
    sums.samples += m.samples;
    sums.tokens += m.tokens;
    sums.label_tokens += m.label_tokens;
    sums.seconds += m.seconds;
    sums.data_wait += m.data_wait;
    sums.peak_bytes = std::max(sums.peak_bytes, m.peak_bytes);
    sums.num_skipped += m.skipped ? 1 : 0;
  }
  const size_t wanted = std::clamp<size_t>(metrics.size() / 10, 1, kMostLastSteps);
  double total = 0;
  for (auto m = metrics.rbegin(); m != metrics.rend() && sums.num_last < wanted; ++m) {
    if (m->skipped || !std::isfinite(m->loss)) continue;
    total += m->loss;
    ++sums.num_last;
  }
  if (sums.num_last > 0) sums.last_loss = total / static_cast<double>(sums.num_last);
  return sums;
}

std::string summary_tiles(const RunReport& report) {
  std::string html = "<ul class=\"tiles\">\n";
  for (const auto& fact : report.headline) html += tile_html(fact.name, fact.value);
  const auto& metrics = report.metrics;
  if (!metrics.empty()) {
    const RunSums sums = run_sums(metrics);
    html += tile_html(
        "Loss", readable_number(sums.last_loss, 4),
        (sums.num_last > 1 ? "mean of the last " + std::to_string(sums.num_last) + " steps"
                           : "last step") +
            std::string("; first step ") + readable_number(metrics.front().loss, 4));
    html += tile_html(
        "Steps", readable_count(metrics.back().step),
        "epoch " + readable_fixed(metrics.back().epoch, 2) +
            (sums.num_skipped > 0 ? ", " + readable_count(sums.num_skipped) + " skipped" : ""));
    html += tile_html("Samples", readable_count(sums.samples));
    html += tile_html("Tokens", readable_short(static_cast<double>(sums.tokens)),
                      readable_short(static_cast<double>(sums.label_tokens)) + " of them targets");
    html += tile_html(
        "Time in steps", readable_duration(sums.seconds),
        readable_share(sums.seconds > 0 ? sums.data_wait / sums.seconds : 0) + " waiting for data");
    if (sums.seconds > 0) {
      html += tile_html(
          "Speed", readable_short(static_cast<double>(sums.tokens) / sums.seconds) + " tokens/s",
          readable_short(static_cast<double>(sums.samples) / sums.seconds) + " samples/s");
    }
    html += tile_html("Peak memory", readable_bytes(sums.peak_bytes));
  }
  return html + "</ul>\n";
}

std::string curves(const std::vector<StepMetrics>& metrics) {
  if (metrics.empty()) return "";
  const auto curve = [&](const char* title, const char* note,
                         const std::function<double(const StepMetrics&)>& value) {
    ChartCurve c;
    c.title = title;
    c.note = note;
    for (const auto& m : metrics) {
      c.steps.push_back(m.step);
      c.values.push_back(value(m));
    }
    return c;
  };
  ChartCurve loss =
      curve("Loss", "cross-entropy a target token", [](const auto& m) { return m.loss; });
  loss.is_smoothed = true;
  for (const auto& m : metrics) {
    if (m.skipped) loss.marks.push_back(m.step);
  }
  ChartCurve lr =
      curve("Learning rate", "of the first parameter group", [](const auto& m) { return m.lr; });
  lr.from_zero = true;
  ChartCurve norm =
      curve("Gradient norm", "before clipping", [](const auto& m) { return m.grad_norm; });
  norm.is_smoothed = norm.from_zero = true;
  ChartCurve speed =
      curve("Tokens a second", "over all ranks", [](const auto& m) { return m.tokens_per_s(); });
  speed.is_smoothed = speed.from_zero = true;
  return "<h2>Curves</h2>\n<div class=\"charts\">\n" + chart_html(loss) + chart_html(lr) +
         chart_html(norm) + chart_html(speed) + "</div>\n";
}

// Equal but for case and blanks at the ends.
bool is_same_answer(const std::string& a, const std::string& b) {
  const auto plain = [](const std::string& text) {
    std::string out;
    for (const char c : text) out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const auto first = out.find_first_not_of(" \t\r\n");
    return first == std::string::npos
               ? ""
               : out.substr(first, out.find_last_not_of(" \t\r\n") - first + 1);
  };
  return plain(a) == plain(b);
}

std::string sample_card(const ReportSample& sample) {
  std::string html = "<li class=\"card\">";
  if (!sample.picture.empty()) html += picture_html(sample.picture, sample.mime, sample.name);
  const auto row = [&](const char* name, const std::string& kind, const std::string& text) {
    html += std::string("<dt>") + name + "</dt><dd dir=\"auto\" class=\"" + kind + "\">" +
            html_text(text) + "</dd>";
  };
  html += "<dl>";
  row("Question", "question", sample.question);
  row("Gold answer", "gold", sample.gold);
  if (!sample.before.empty()) row("Before training", "before", sample.before);
  row(sample.before.empty() ? "Answer" : "After training",
      is_same_answer(sample.answer, sample.gold) ? "answer same" : "answer", sample.answer);
  return html + "</dl></li>\n";
}

std::string gallery(const std::vector<ReportSample>& samples) {
  if (samples.empty()) return "";
  const auto num_same = std::count_if(samples.begin(), samples.end(), [](const auto& s) {
    return is_same_answer(s.answer, s.gold);
  });
  std::string html = "<h2>Samples <span class=\"note\">" + readable_count(num_same) + " of these " +
                     readable_count(static_cast<int64_t>(samples.size())) +
                     " answers equal the gold answer</span></h2>\n<ul class=\"samples\">\n";
  for (const auto& sample : samples) html += sample_card(sample);
  return html + "</ul>\n";
}

std::string parts_table(const std::vector<TrainedPart>& parts) {
  if (parts.empty()) return "";
  std::string html =
      "<h2>What trained</h2>\n<div class=\"card "
      "scroll\"><table><thead><tr><th>Part</th><th>How</th>"
      "<th class=\"num\">Trained</th><th class=\"num\">Parameters</th><th>Share</th><th "
      "class=\"num\">Learning "
      "rate</th></tr></thead><tbody>\n";
  const auto row = [&](const TrainedPart& part, bool is_sum) {
    const double share =
        part.total > 0 ? static_cast<double>(part.trainable) / static_cast<double>(part.total) : 0;
    html += "<tr><th scope=\"row\">" + html_text(part.name) + "</th><td>" + html_text(part.mode) +
            "</td><td class=\"num\">" + readable_count(part.trainable) + "</td><td class=\"num\">" +
            readable_count(part.total) + "</td><td>" + readable_number(100 * share, 3) + "%" +
            "<span class=\"meter\"><i style=\"width:" +
            readable_number(std::clamp(100 * share, 0.0, 100.0), 4) +
            "%\"></i></span></td><td class=\"num\">" + (is_sum ? "" : rate_text(part)) +
            "</td></tr>\n";
  };
  TrainedPart sum;
  sum.name = "all";
  for (const auto& part : parts) {
    row(part, false);
    sum.trainable += part.trainable;
    sum.total += part.total;
  }
  if (parts.size() > 1) row(sum, true);
  return html + "</tbody></table></div>\n";
}

std::string sets_table(const std::vector<TrainedSet>& sets) {
  if (sets.empty()) return "";
  std::string html =
      "<h2>Data</h2>\n<div class=\"card scroll\"><table><thead><tr><th>File</th><th "
      "class=\"num\">Records</th>"
      "<th class=\"num\">Weight</th><th>Hash</th></tr></thead><tbody>\n";
  for (const auto& set : sets) {
    html += "<tr><th scope=\"row\" class=\"path\"><bdi>" + html_text(set.path) +
            "</bdi></th><td class=\"num\">" + readable_count(set.records) +
            "</td><td class=\"num\">" + readable_number(set.weight, 4) +
            "</td><td><code class=\"hash\">" + html_text(set.hash) + "</code></td></tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

}  // namespace

std::string render(const RunReport& report) {
  ReportPage page;
  page.kicker = "finer training run";
  page.title = report.title;
  page.script = kReportScript;
  page.under_html = "<p class=\"under\">";
  if (!report.outcome.empty()) {
    page.under_html += std::string("<span class=\"pill") + (report.is_complete ? " done" : "") +
                       "\">" + html_text(report.outcome) + "</span>";
  }
  page.under_html += "<span>" + html_text(report.when) + "</span></p>";
  page.body_html = summary_tiles(report) +
                   (report.metrics.empty() ? "<p class=\"note\">No step was taken.</p>\n"
                                           : curves(report.metrics)) +
                   gallery(report.samples) + parts_table(report.parts) + sets_table(report.sets) +
                   "<div class=\"two\">\n" + facts_html("Counts", report.counts) +
                   facts_html("Environment", report.environment) + "</div>\n" +
                   recipe_html(report.recipe_yaml);
  return page_html(page);
}

}  // namespace finer
