#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace finer {

/// A value at each step, as one chart of the report.
struct ChartCurve {
  std::string title;           // "Loss"
  std::string note;            // what it counts, in a few words
  std::vector<int64_t> steps;  // ascending
  std::vector<double> values;  // as many; NaN where there is none
  std::vector<int64_t> marks;  // steps to be marked at the foot (skipped ones)
  bool is_smoothed = false;    // draw the values faint and their running mean over them
  bool from_zero = false;      // the axis begins at 0 whatever the values
};

/// Mean of the values around each one, with weights that fall to half at `half_life` values before
/// and after it: it lies amid the values instead of trailing behind them. NaN is passed over.
std::vector<double> running_mean(const std::vector<double>& values, double half_life);

/// The axis that shows low..high in about `count` steps of 1, 2, 2.5 or 5 times a power of ten.
struct ChartAxis {
  double begin = 0;
  double end = 1;
  double step = 1;
};
ChartAxis chart_axis(double low, double high, int count);

/// The chart as an HTML figure: inline SVG that fills its box, axis labels as text (they keep their
/// size on a narrow screen), and the points for the page's script as JSON. At most about 800 points
/// are drawn: where there are more steps, the lowest and highest value of each stretch. Of a long
/// run, the highest and lowest 0.5% of the values may lie outside the axis; the figure says how
/// many.
std::string chart_html(const ChartCurve& curve);

}  // namespace finer
