#include "finer/train/report_chart.h"

#include "finer/core/error.h"
#include "finer/train/html_text.h"
#include "finer/train/readable.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

namespace finer {
namespace {

constexpr size_t kMostPoints = 800;
constexpr size_t kManyValues = 200;  // from here on, outliers may leave the axis
constexpr size_t kFewValues = 20;    // below, a running mean says nothing
constexpr double kBoxSide =
    1000;  // the SVG's own units, stretched to whatever box the page gives it

// Steps first..last-1 of the curve that share a place on the screen.
struct ChartStretch {
  size_t first = 0;
  size_t last = 0;
};

std::vector<ChartStretch> chart_stretches(size_t count) {
  const size_t parts = std::min(count, kMostPoints);
  std::vector<ChartStretch> stretches(parts);
  for (size_t i = 0; i < parts; ++i) stretches[i] = {count * i / parts, count * (i + 1) / parts};
  return stretches;
}

// Smallest and largest finite value; of many, those that a twohundredth lies beyond.
std::pair<double, double> chart_range(const std::vector<double>& values) {
  std::vector<double> finite;
  std::copy_if(values.begin(), values.end(), std::back_inserter(finite),
               [](double v) { return std::isfinite(v); });
  if (finite.empty()) return {0, 1};
  std::sort(finite.begin(), finite.end());
  const size_t outside = finite.size() >= kManyValues ? finite.size() / 200 : 0;
  return {finite[outside], finite[finite.size() - 1 - outside]};
}

// Places within the SVG's box.
struct ChartFrame {
  double begin_step = 0;
  double end_step = 1;
  ChartAxis y;

  double x_of(int64_t step) const {
    return kBoxSide * (static_cast<double>(step) - begin_step) / (end_step - begin_step);
  }
  double y_of(double value) const {
    // Far outside is as good as just outside, and keeps the numbers short.
    return std::clamp(kBoxSide * (y.end - value) / (y.end - y.begin), -kBoxSide, 2 * kBoxSide);
  }
};

void add_point(std::string& path, bool& is_down, double x, double y) {
  char text[64];
  snprintf(text, sizeof(text), "%c%.1f %.1f", is_down ? 'L' : 'M', x, y);
  path += text;
  is_down = true;
}

// Line through the values; lifted where there is none. A value between two gaps becomes a dot.
std::string chart_path(const ChartFrame& frame, const ChartCurve& curve,
                       const std::vector<double>& values,
                       const std::vector<ChartStretch>& stretches) {
  std::string path;
  bool is_down = false;
  bool is_dot = false;
  const auto lift = [&] {
    if (is_dot) path += "h0";
    is_down = is_dot = false;
  };
  for (const auto& stretch : stretches) {
    size_t low = stretch.last, high = stretch.last;
    for (size_t i = stretch.first; i < stretch.last; ++i) {
      if (!std::isfinite(values[i])) continue;
      if (low == stretch.last || values[i] < values[low]) low = i;
      if (high == stretch.last || values[i] > values[high]) high = i;
    }
    if (low == stretch.last) {
      lift();
      continue;
    }
    is_dot = !is_down && low == high;
    add_point(path, is_down, frame.x_of(curve.steps[std::min(low, high)]),
              frame.y_of(values[std::min(low, high)]));
    if (low != high) {
      add_point(path, is_down, frame.x_of(curve.steps[std::max(low, high)]),
                frame.y_of(values[std::max(low, high)]));
    }
  }
  lift();
  return path;
}

std::string chart_tick_text(double value, double axis_end) {
  if (value == 0) return "0";
  if (std::fabs(axis_end) >= 1e7) return readable_number(value / 1e6, 5) + "M";
  if (std::fabs(axis_end) >= 1e4) return readable_number(value / 1e3, 5) + "k";
  return readable_number(value, 5);
}

std::string percent_text(double share) { return readable_number(100 * share, 5) + "%"; }

std::string svg_line(const char* kind, const std::string& path) {
  return path.empty() ? "" : std::string("<path class=\"") + kind + "\" d=\"" + path + "\"/>";
}

// Four digits are what the read-out shows; null where there is no number.
nlohmann::json chart_number(double value) {
  if (!std::isfinite(value)) return nullptr;
  return std::strtod(readable_number(value, 6).c_str(), nullptr);
}

nlohmann::json chart_points(const ChartFrame& frame, const ChartCurve& curve,
                            const std::vector<double>& mean,
                            const std::vector<ChartStretch>& stretches) {
  nlohmann::json points = {{"x", {frame.begin_step, frame.end_step}},
                           {"y", {frame.y.begin, frame.y.end}}};
  auto& steps = points["step"] = nlohmann::json::array();
  auto& values = points["value"] = nlohmann::json::array();
  for (const auto& stretch : stretches) {
    steps.push_back(curve.steps[stretch.last - 1]);
    values.push_back(chart_number(curve.values[stretch.last - 1]));
  }
  if (!mean.empty()) {
    auto& means = points["mean"] = nlohmann::json::array();
    for (const auto& stretch : stretches) means.push_back(chart_number(mean[stretch.last - 1]));
  }
  return points;
}

}  // namespace

std::vector<double> running_mean(const std::vector<double>& values, double half_life) {
  const double keep = std::exp2(-1 / std::max(half_life, 1e-3));
  const size_t count = values.size();
  // Forwards, then backwards; a value's own weight is counted once.
  std::vector<double> sums(count), weights(count);
  double sum = 0, weight = 0;
  for (size_t i = 0; i < count; ++i) {
    const bool is_there = std::isfinite(values[i]);
    sum = keep * sum + (is_there ? values[i] : 0);
    weight = keep * weight + (is_there ? 1 : 0);
    sums[i] = sum;
    weights[i] = weight;
  }
  sum = weight = 0;
  for (size_t i = count; i-- > 0;) {
    sums[i] += keep * sum;
    weights[i] += keep * weight;
    const bool is_there = std::isfinite(values[i]);
    sum = keep * sum + (is_there ? values[i] : 0);
    weight = keep * weight + (is_there ? 1 : 0);
  }
  for (size_t i = 0; i < count; ++i) sums[i] /= weights[i];  // 0 / 0 where there is no value at all
  return sums;
}

ChartAxis chart_axis(double low, double high, int count) {
  if (!(high > low)) {  // one value: give it room
    const double room = low == 0 ? 1 : std::fabs(low) * 0.5;
    if (low >= 0) {
      high = low + room;
      low = std::max(0.0, low - room);
    } else {
      high = low + room;
      low -= room;
    }
  }
  const double wanted = (high - low) / count;
  const double power = std::pow(10, std::floor(std::log10(wanted)));
  double step = 10 * power;
  for (const double factor : {5.0, 2.5, 2.0, 1.0}) {
    if (factor * power >= wanted * (1 - 1e-9)) step = factor * power;
  }
  // A hair of tolerance, so that 0.3 / 0.1 is 3.
  return {std::floor(low / step + 1e-9) * step, std::ceil(high / step - 1e-9) * step, step};
}

std::string chart_html(const ChartCurve& curve) {
  FINER_CHECK(curve.steps.size() == curve.values.size(), "a step for each value");
  if (curve.steps.empty()) return "";
  const size_t count = curve.values.size();
  const auto stretches = chart_stretches(count);

  const double half_life = std::clamp(static_cast<double>(count) / 100, 2.0, 50.0);
  std::vector<double> mean;
  if (curve.is_smoothed && count >= kFewValues) mean = running_mean(curve.values, half_life);

  auto [low, high] = chart_range(curve.values);
  for (const double value : mean) {
    if (!std::isfinite(value)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  if (curve.from_zero || (low > 0 && low < 0.4 * high)) low = std::min(low, 0.0);
  ChartFrame frame;
  frame.y = chart_axis(low, high, 4);
  frame.begin_step = curve.steps.front() == 1 ? 0 : static_cast<double>(curve.steps.front());
  frame.end_step = std::max(static_cast<double>(curve.steps.back()), frame.begin_step + 1);

  std::string grid, labels;
  for (int i = 0; frame.y.begin + i * frame.y.step <= frame.y.end + frame.y.step / 2; ++i) {
    double value = frame.y.begin + i * frame.y.step;
    if (std::fabs(value) < frame.y.step / 1e6) value = 0;
    const double y = frame.y_of(value);
    grid += "M0 " + readable_number(y, 5) + "H1000";
    labels += "<span class=\"tick-y\" style=\"bottom:" + percent_text(1 - y / kBoxSide) + "\">" +
              chart_tick_text(value, frame.y.end) + "</span>";
  }
  ChartAxis x = chart_axis(frame.begin_step, frame.end_step, 5);
  x.step = std::max(std::floor(x.step), 1.0);
  for (double step = std::ceil(frame.begin_step / x.step) * x.step; step <= frame.end_step;
       step += x.step) {
    const double place = frame.x_of(static_cast<int64_t>(step)) / kBoxSide;
    labels += "<span class=\"tick-x\" style=\"left:" + percent_text(place) + "\">" +
              readable_count(static_cast<int64_t>(step)) + "</span>";
  }

  std::string marks;
  double last_mark = -kBoxSide;
  for (const int64_t step : curve.marks) {
    const double place = frame.x_of(step);
    if (place - last_mark < kBoxSide / static_cast<double>(kMostPoints)) continue;
    last_mark = place;
    marks += "M" + readable_number(place, 5) + " 1000v-40";
  }

  const auto num_outside = std::count_if(curve.values.begin(), curve.values.end(), [&](double v) {
    return std::isfinite(v) && (v < frame.y.begin || v > frame.y.end);
  });
  std::string note = html_text(curve.note);
  if (!mean.empty())
    note += "; line: mean of the steps around, half-life " +
            readable_number(std::round(half_life), 3) + " steps";
  if (num_outside > 0) {
    note += "; " + readable_count(num_outside) + " of " +
            readable_count(static_cast<int64_t>(count)) + " values lie outside the axis";
  }
  if (!curve.marks.empty()) {
    note += "; <span class=\"bad\">red ticks: " +
            readable_count(static_cast<int64_t>(curve.marks.size())) + " skipped</span>";
  }

  const std::string title = html_text(curve.title);
  const std::string spoken = title + " from " + readable_number(curve.values.front(), 4) +
                             " at step " + readable_count(curve.steps.front()) + " to " +
                             readable_number(curve.values.back(), 4) + " at step " +
                             readable_count(curve.steps.back());
  return "<figure class=\"chart\"><figcaption><h3>" + title +
         "</h3><output></output></figcaption>" +
         "<div class=\"plot\" tabindex=\"0\" role=\"img\" aria-label=\"" + spoken + "\">" +
         "<svg viewBox=\"0 0 1000 1000\" preserveAspectRatio=\"none\" aria-hidden=\"true\">" +
         svg_line("grid", grid) +
         svg_line(mean.empty() ? "main" : "faint",
                  chart_path(frame, curve, curve.values, stretches)) +
         svg_line("main", mean.empty() ? "" : chart_path(frame, curve, mean, stretches)) +
         svg_line("marks", marks) + "</svg>" + labels +
         "<i class=\"cross\"></i><i class=\"dot\"></i></div>" + "<p class=\"note\">" + note +
         "</p>" + "<script type=\"application/json\">" +
         chart_points(frame, curve, mean, stretches).dump() + "</script></figure>\n";
}

}  // namespace finer
