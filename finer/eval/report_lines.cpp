#include "finer/core/error.h"
#include "finer/eval/report_parts.h"
#include "finer/train/html_text.h"
#include "finer/train/readable.h"
#include "finer/train/report_chart.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace finer {
namespace {

constexpr size_t kMostPlaces = 400;  // points drawn of a line
constexpr double kLinesSide = 1000;  // the SVG's own units

struct LinesFrame {
  ChartAxis x, y;

  std::string place(double at, double value) const {
    const auto share = [](double v, const ChartAxis& axis) {
      return std::clamp((v - axis.begin) / (axis.end - axis.begin), -1.0, 2.0);
    };
    return readable_fixed(kLinesSide * share(at, x), 1) + " " +
           readable_fixed(kLinesSide * (1 - share(value, y)), 1);
  }
};

// Where there are more points than places, the mean of each stretch. Gaps lift the pen.
std::string line_path(const LinesFrame& frame, const ReportLine& line) {
  const size_t count = line.x.size(), places = std::min(count, kMostPlaces);
  std::string path;
  bool is_down = false, is_dot = false;
  for (size_t place = 0; place < places; ++place) {
    const size_t first = count * place / places, last = count * (place + 1) / places;
    double sum_x = 0, sum_y = 0, num = 0;
    for (size_t i = first; i < last; ++i) {
      if (!std::isfinite(line.y[i]) || !std::isfinite(line.x[i])) continue;
      sum_x += line.x[i];
      sum_y += line.y[i];
      ++num;
    }
    if (num == 0) {
      if (is_dot) path += "h0";
      is_down = is_dot = false;
      continue;
    }
    path += (is_down ? "L" : "M") + frame.place(sum_x / num, sum_y / num);
    is_dot = !is_down;
    is_down = true;
  }
  return is_dot ? path + "h0" : path;
}

std::string axis_tick(double value, const ChartAxis& axis) {
  if (std::fabs(value) < axis.step * 1e-9) return "0";
  if (std::fabs(axis.end) >= 1e4) return readable_number(value / 1e3, 5) + "k";
  return readable_number(value, 5);
}

std::string axis_place(double value, const ChartAxis& axis) {
  return readable_number(100 * (value - axis.begin) / (axis.end - axis.begin), 5) + "%";
}

// The chart with the decimal logarithms of its values.
ReportLines logarithmic(ReportLines chart) {
  for (auto& line : chart.lines)
    for (auto& y : line.y) y = y > 0 ? std::log10(y) : std::nan("");
  return chart;
}

// Whole decades.
ChartAxis decades(double low, double high) {
  const double begin = std::floor(low);
  return {begin, std::max(std::ceil(high), begin + 1), 1};
}

}  // namespace

std::string lines_html(const ReportLines& given, ReportColours& colours) {
  const ReportLines chart = given.is_log ? logarithmic(given) : given;
  FINER_CHECK(chart.lines.size() <= ReportColours::kCount, "at most 8 lines");
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  double low_x = kInfinite, high_x = -kInfinite, low_y = kInfinite, high_y = -kInfinite;
  for (const auto& line : chart.lines) {
    FINER_CHECK(line.x.size() == line.y.size(), "a value for each x");
    for (size_t i = 0; i < line.x.size(); ++i) {
      if (!std::isfinite(line.x[i]) || !std::isfinite(line.y[i])) continue;
      low_x = std::min(low_x, line.x[i]);
      high_x = std::max(high_x, line.x[i]);
      low_y = std::min(low_y, line.y[i]);
      high_y = std::max(high_y, line.y[i]);
    }
  }
  if (!(low_x <= high_x)) return "";
  LinesFrame frame;
  frame.y = chart.is_log ? decades(low_y, high_y) : chart_axis(low_y, high_y, 4);
  // The line fills the width: the axis ends where it does, the ticks are round all the same.
  const ChartAxis ticks = chart_axis(low_x, high_x, 4);
  frame.x = {low_x, high_x > low_x ? high_x : low_x + 1, ticks.step};

  std::vector<std::string> kinds;
  for (const auto& line : chart.lines)
    kinds.push_back(colours.of(line.name, chart.lines.size() == 1));

  std::string html = "<figure class=\"card lines\"><figcaption>";
  if (!chart.title.empty()) html += "<h3>" + html_text(chart.title) + "</h3>";
  if (!chart.note.empty()) html += "<p class=\"note\">" + html_text(chart.note) + "</p>";
  html += "</figcaption>";
  if (chart.lines.size() > 1) {
    html += "<ul class=\"legend\">";
    for (size_t i = 0; i < chart.lines.size(); ++i) {
      html += "<li><i class=\"" + kinds[i] + "\"></i><bdi>" + html_text(chart.lines[i].name) +
              "</bdi></li>";
    }
    html += "</ul>";
  }
  html +=
      "<div class=\"lines-plot\"><svg viewBox=\"0 0 1000 1000\" preserveAspectRatio=\"none\" "
      "role=\"img\"><title>" +
      html_text(chart.title) + "</title><path class=\"grid\" d=\"";
  const auto num_y = static_cast<int>(std::lround((frame.y.end - frame.y.begin) / frame.y.step));
  for (int i = 0; i <= num_y; ++i) {
    html += "M0 " + readable_fixed(kLinesSide * (1 - static_cast<double>(i) / num_y), 1) + "H1000";
  }
  html += "\"/>";
  for (size_t i = 0; i < chart.lines.size(); ++i) {
    html += "<path class=\"" + kinds[i] + "\" d=\"" + line_path(frame, chart.lines[i]) + "\"/>";
  }
  html += "</svg>";
  for (int i = 0; i <= num_y; ++i) {
    const double value = frame.y.begin + i * frame.y.step;
    html += "<span class=\"tick-y\" style=\"bottom:" + axis_place(value, frame.y) + "\">" +
            (chart.is_log ? readable_number(std::pow(10, value), 5) : axis_tick(value, frame.y)) +
            "</span>";
  }
  for (double value = std::ceil(low_x / ticks.step - 1e-9) * ticks.step;
       value <= high_x + ticks.step * 1e-9; value += ticks.step) {
    html += "<span class=\"tick-x\" style=\"left:" + axis_place(value, frame.x) + "\">" +
            axis_tick(value, ticks) + "</span>";
  }
  return html + "</div><p class=\"x-name\">" + html_text(chart.x_name) + "</p></figure>\n";
}

}  // namespace finer
