#include "finer/core/error.h"
#include "finer/eval/report_parts.h"
#include "finer/train/html_text.h"
#include "finer/train/readable.h"

#include <algorithm>
#include <cmath>

namespace finer {
namespace {

// SVG units, stretched to the box that the page gives; lines keep their width.
constexpr double kBarWidth = 1000, kBarHeight = 20;

// With more series than a legend's colours are told apart by, each bar has its name beside it.
constexpr size_t kLegendSeries = 6;

std::string svg_number(double x) { return readable_fixed(x, 1); }

std::string bar_percent(double share) { return readable_fixed(100 * share, 1); }

// One bar with its interval over it, gridlines at every quarter behind both.
std::string bar_svg(const Interval& value, double full, const std::string& colour,
                    const std::string& label) {
  const auto x = [&](double share) { return std::clamp(share / full, 0.0, 1.0) * kBarWidth; };
  std::string html =
      "<svg class=\"bar\" viewBox=\"0 0 1000 20\" preserveAspectRatio=\"none\" "
      "role=\"img\"><title>" +
      html_text(label) + "</title><path class=\"grid\" d=\"";
  for (int quarter = 0; quarter <= 4; ++quarter) {
    html += "M" + svg_number(kBarWidth * quarter / 4) + " 0V" + svg_number(kBarHeight);
  }
  html += "\"/>";
  if (std::isfinite(value.mean)) {
    html += "<rect class=\"" + colour + "\" x=\"0\" y=\"3\" width=\"" +
            svg_number(std::max(1.5, x(value.mean))) + "\" height=\"14\"/>";
    if (value.high > value.low) {
      const std::string low = svg_number(x(value.low)), high = svg_number(x(value.high));
      const std::string path = "M" + low + " 10H" + high + "M" + low + " 6V14M" + high + " 6V14";
      // Twice: a light edge keeps the line readable on its own bar.
      html += "<path class=\"halo\" d=\"" + path + "\"/><path class=\"error\" d=\"" + path + "\"/>";
    }
  }
  return html + "</svg>";
}

}  // namespace

std::string bars_html(const ReportBars& bars, ReportColours& colours) {
  FINER_CHECK(bars.values.size() == bars.groups.size(), "values for each group");
  if (bars.groups.empty() || bars.series.empty()) return "";
  // A chart of small shares gets an axis of its own, a round one.
  double highest = 0;
  for (const auto& group : bars.values) {
    FINER_CHECK(group.size() == bars.series.size(), "a value for each series");
    for (const auto& value : group) {
      if (std::isfinite(value.mean)) highest = std::max({highest, value.mean, value.high});
    }
  }
  double full = 1;
  for (const double smaller : {0.4, 0.2, 0.08, 0.04}) {
    if (highest <= smaller) full = smaller;
  }

  std::vector<std::string> kinds;
  for (const auto& name : bars.series) kinds.push_back(colours.of(name, bars.series.size() == 1));

  std::string html = "<figure class=\"card bars\"><figcaption>";
  if (!bars.title.empty()) html += "<h3>" + html_text(bars.title) + "</h3>";
  if (!bars.note.empty()) html += "<p class=\"note\">" + html_text(bars.note) + "</p>";
  html += "</figcaption>";
  const bool is_named = bars.series.size() > kLegendSeries;
  const std::string row = is_named ? "<div class=\"bar-row named\">" : "<div class=\"bar-row\">";
  const auto label_of = [&](const std::string& name) {
    return is_named ? "<span class=\"bar-label\"><bdi>" + html_text(name) + "</bdi></span>" : "";
  };
  if (bars.series.size() > 1 && !is_named) {
    html += "<ul class=\"legend\">";
    for (size_t i = 0; i < bars.series.size(); ++i) {
      html +=
          "<li><i class=\"" + kinds[i] + "\"></i><bdi>" + html_text(bars.series[i]) + "</bdi></li>";
    }
    html += "</ul>";
  }
  for (size_t g = 0; g < bars.groups.size(); ++g) {
    html += "<div class=\"bar-group\"><p class=\"bar-name\"><bdi>" + html_text(bars.groups[g]) +
            "</bdi></p><div class=\"bar-rows\">";
    for (size_t i = 0; i < bars.series.size(); ++i) {
      const Interval& value = bars.values[g][i];
      const bool is_there = std::isfinite(value.mean);
      std::string label = bars.series[i] + ", " + bars.groups[g] + ": ";
      label += is_there ? bar_percent(value.mean) + " %" : "not measured";
      if (is_there && value.high > value.low) {
        label += " (" + bar_percent(value.low) + " to " + bar_percent(value.high) + ")";
      }
      html += row + label_of(bars.series[i]) + bar_svg(value, full, kinds[i], label) +
              "<span class=\"bar-value\">" + (is_there ? bar_percent(value.mean) : "-") +
              "</span></div>";
    }
    html += "</div></div>";
  }
  html +=
      "<div class=\"bar-group bar-axis\" aria-hidden=\"true\"><p class=\"bar-name\"></p><div "
      "class=\"bar-rows\">" +
      row + label_of("") + "<div class=\"bar-ticks\">";
  for (int quarter = 0; quarter <= 4; ++quarter) {
    html += "<span style=\"left:" + std::to_string(25 * quarter) + "%\">" +
            readable_number(100 * full * quarter / 4, 3) + "</span>";
  }
  return html + "</div><span class=\"bar-value\">%</span></div></div></div></figure>\n";
}

}  // namespace finer
