#include "finer/train/report_chart.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

finer::ChartCurve curve_of(const std::vector<double>& values) {
  finer::ChartCurve curve;
  curve.title = "Loss";
  curve.values = values;
  for (size_t i = 0; i < values.size(); ++i) curve.steps.push_back(static_cast<int64_t>(i) + 1);
  return curve;
}

nlohmann::json points_of(const std::string& html) {
  const std::string begin = "<script type=\"application/json\">";
  const size_t at = html.find(begin) + begin.size();
  return nlohmann::json::parse(html.substr(at, html.find("</script>", at) - at));
}

}  // namespace

TEST_CASE("a chart's axis has round steps and holds all values", "[train]") {
  struct Case {
    double low, high, begin, end, step;
  };
  for (const auto& c : std::vector<Case>{{0, 5.4, 0, 6, 2},
                                         {0, 2e-4, 0, 2e-4, 5e-5},
                                         {0.5, 0.9, 0.5, 0.9, 0.1},
                                         {0, 7987, 0, 8000, 2000},
                                         {-3, 5, -4, 6, 2},
                                         {2, 2, 1, 3, 0.5},
                                         {0, 0, 0, 1, 0.25},
                                         {-2, -2, -3, -1, 0.5}}) {
    const auto axis = finer::chart_axis(c.low, c.high, 4);
    INFO(c.low << " to " << c.high);
    CHECK(axis.begin == Approx(c.begin).margin(1e-12));
    CHECK(axis.end == Approx(c.end));
    CHECK(axis.step == Approx(c.step));
  }
}

TEST_CASE("the running mean lies amid the values, passes over gaps and keeps a constant",
          "[train]") {
  for (const double mean : finer::running_mean({3, 3, kNan, 3, 3}, 2)) CHECK(mean == Approx(3));
  const auto line = finer::running_mean({0, 1, 2, 3, 4, 5, 6, 7, 8}, 1);
  CHECK(line[4] == Approx(4));  // a straight line stays one: nothing trails behind
  // Written out: neighbours count half, a quarter, ...
  const auto three = finer::running_mean({1, 2, 6}, 1);
  CHECK(three[0] == Approx((1 + 2 * 0.5 + 6 * 0.25) / 1.75));
  CHECK(three[1] == Approx((0.5 + 2 + 3) / 2.0));
  CHECK(std::isnan(finer::running_mean({kNan, kNan}, 1)[1]));
}

TEST_CASE("a chart of a long run keeps its peaks with a few hundred points", "[train]") {
  std::vector<double> values(100000, 1.0);
  for (size_t i = 0; i < values.size(); ++i) values[i] += 0.001 * static_cast<double>(i % 7);
  std::fill(values.begin() + 50000, values.begin() + 50600, 2.0);  // more than may lie outside
  auto curve = curve_of(values);
  curve.is_smoothed = true;
  const auto html = finer::chart_html(curve);
  CHECK(html.size() < 60000);
  const auto points = points_of(html);
  CHECK(points["step"].size() == 800);
  CHECK(points["step"].back() == 100000);
  CHECK(points["mean"].size() == 800);
  CHECK(points["y"][1].get<double>() >= 2.0);
}

TEST_CASE("single spikes of a long run do not flatten its chart, and it says so", "[train]") {
  std::vector<double> values(1000, 1.0);
  for (size_t i = 0; i < values.size(); ++i) values[i] += 0.1 * std::sin(static_cast<double>(i));
  values[500] = 1e9;
  const auto html = finer::chart_html(curve_of(values));
  CHECK(points_of(html)["y"][1].get<double>() < 2);
  CHECK_THAT(html, Catch::Matchers::Contains("1 of 1,000 values lie outside the axis"));
  CHECK(html.find("e+") == std::string::npos);  // drawn at the edge, not at a billion
}

TEST_CASE("values that are not finite leave a gap and are null for the script", "[train]") {
  auto curve = curve_of({1, kNan, 3, kNan, 2, 1});
  curve.marks = {2, 4};
  const auto html = finer::chart_html(curve);
  CHECK(points_of(html)["value"].dump() == "[1.0,null,3.0,null,2.0,1.0]");
  const size_t at = html.find("<path class=\"main\" d=\"");
  REQUIRE(at != std::string::npos);
  const std::string path = html.substr(at, html.find("\"/>", at) - at);
  CHECK(std::count(path.begin(), path.end(), 'M') == 3);
  CHECK(std::count(path.begin(), path.end(), 'L') == 1);
  CHECK(path.find("h0") != std::string::npos);  // lone values are dots
  CHECK_THAT(html, Catch::Matchers::Contains("2 skipped"));
  CHECK(html.find("nan,") == std::string::npos);
}

TEST_CASE("charts of one step, of nothing finite and of no step can be drawn", "[train]") {
  CHECK_THAT(finer::chart_html(curve_of({2.5})), Catch::Matchers::Contains("h0"));
  CHECK_THAT(finer::chart_html(curve_of({kNan, kNan})), Catch::Matchers::Contains("<svg"));
  CHECK_THAT(finer::chart_html(curve_of({std::numeric_limits<double>::infinity()})),
             Catch::Matchers::Contains("<svg"));
  CHECK(finer::chart_html(curve_of({})).empty());
}
