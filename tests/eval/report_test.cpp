#include "finer/eval/eval_report.h"
#include "tests/eval/demo_report.h"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <fstream>
#include <limits>
#include <regex>

namespace {

using Catch::Matchers::Contains;

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

std::string bars_of(const finer::ReportBars& bars) {
  finer::ReportColours colours;
  return finer::bars_html(bars, colours);
}

std::string lines_of(const finer::ReportLines& lines) {
  finer::ReportColours colours;
  return finer::lines_html(lines, colours);
}

}  // namespace

TEST_CASE("the page shows every part it was given", "[eval]") {
  const auto report = demo::report();
  const auto html = finer::render(report);
  for (const char* part :
       {"Looking first, naming second", "The modality gap", "Fine names", "Superordinate names",
        "Differences", "What to keep in mind", "attr-seek over direct", "held-out concepts",
        "Environment", "id=\"filter\""}) {
    CHECK_THAT(html, Contains(part));
  }
  CHECK(count_of(html, "class=\"card shot\"") == report.gallery.size());
  CHECK(count_of(html, "<svg class=\"bar\"") == 3 * 2 * 3);  // levels, sets, models
  CHECK(count_of(html, "<option") == 3 + 1 + 2 + 1);  // models and sets; one level is no choice
}

TEST_CASE("the page asks nobody for anything and has one script", "[eval]") {
  const auto html = finer::render(demo::report());
  CHECK(count_of(html, "<script") == 1);
  CHECK(count_of(html, "http:") + count_of(html, "https:") == 0);
  const std::regex loads("(src|href)=\"([^\"]{0,6})");
  for (std::sregex_iterator found(html.begin(), html.end(), loads), end; found != end; ++found) {
    CHECK((*found)[2].str().substr(0, 5) == "data:");
  }
}

TEST_CASE("no text of a page breaks out of its place", "[eval]") {
  const auto html = finer::render(demo::report(true));
  CHECK(count_of(html, "<script") == 1);
  CHECK(count_of(html, "</script") == 1);
  CHECK(count_of(html, "onerror=alert(1)>") == 0);
  CHECK(count_of(html, "<img src=x") == 0);
  CHECK(count_of(html, "<b>\"") == 0);
  CHECK_THAT(html, Contains("&lt;/script&gt;&lt;img src=x"));
  CHECK_THAT(html, Contains("\xef\xbf\xbd\xef\xbf\xbd half \xef\xbf\xbd"));
}

TEST_CASE("an empty evaluation is a page, too", "[eval]") {
  finer::EvalReport report;
  report.title = "nothing";
  const auto html = finer::render(report);
  CHECK_THAT(html, Contains("<h1><bdi>nothing</bdi></h1>"));
  CHECK(count_of(html, "<h2>") == 0);
  CHECK(count_of(html, "<svg") == 0);
}

TEST_CASE("many bars of a group have their names beside them instead of a legend", "[eval]") {
  finer::ReportBars bars;
  bars.groups = {"set"};
  bars.values.resize(1);
  for (int i = 0; i < 7; ++i) {
    bars.series.push_back("model " + std::to_string(i));
    bars.values[0].push_back({0.1 * i, 0.1 * i, 0.1 * i});
  }
  const auto html = bars_of(bars);
  CHECK(html.find("legend") == std::string::npos);
  for (const auto& name : bars.series)
    CHECK(html.find("<span class=\"bar-label\"><bdi>" + name + "</bdi>") != std::string::npos);
}

TEST_CASE("bars end where their shares say, intervals too", "[eval]") {
  finer::ReportBars bars;
  bars.series = {"a", "b"};
  bars.groups = {"set"};
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  bars.values = {{{0.25, 0.2, 0.5}, {kNan, kNan, kNan}}};
  const auto html = bars_of(bars);
  CHECK_THAT(html, Contains("width=\"250.0\""));
  CHECK_THAT(html, Contains("M200.0 10H500.0"));
  CHECK_THAT(html, Contains("a, set: 25.0 % (20.0 to 50.0)"));
  CHECK_THAT(html, Contains("b, set: not measured"));
  CHECK(count_of(html, "<rect") == 1);
  CHECK(html.find("bar-label") == std::string::npos);
  bars.values = {{{0.25, 0.2, 0.5}}};
  CHECK_THROWS_AS(bars_of(bars), std::logic_error);
}

TEST_CASE("bars of small shares get an axis on which they can be seen", "[eval]") {
  finer::ReportBars bars;
  bars.series = {"a"};
  bars.groups = {"set"};
  bars.values = {{{0.02, 0.01, 0.03}}};
  CHECK_THAT(bars_of(bars), Contains("width=\"500.0\""));  // of 4 %
  CHECK_THAT(bars_of(bars), Contains(">4</span>"));
}

TEST_CASE("a model has one colour all over the page", "[eval]") {
  finer::ReportColours colours;
  CHECK(colours.of("base", false) == "s0");
  CHECK(colours.of("direct", false) == "s1");
  CHECK(colours.of("base", true) == "s0");
  CHECK(colours.of("loss", true) == "own");
  for (int i = 2; i < 8; ++i) colours.of("m" + std::to_string(i), false);
  CHECK(colours.of("ninth", false) == "s0");
}

TEST_CASE("lines pass over what is not finite, and long ones stay short", "[eval]") {
  finer::ReportLines chart;
  chart.title = "Loss";
  finer::ReportLine line;
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  line.x = {1, 2, 3, 4, 5};
  line.y = {1, 2, kNan, 4, 3};
  chart.lines = {line};
  auto html = lines_of(chart);
  const size_t at = html.find("<path class=\"own\" d=\"");
  REQUIRE(at != std::string::npos);
  const std::string path = html.substr(at, html.find("\"/>", at) - at);
  CHECK(count_of(path, "M") == 2);
  CHECK(count_of(path, "L") == 2);
  CHECK(count_of(path, "nan") == 0);

  line.x.clear();
  line.y.clear();
  for (int i = 0; i < 100000; ++i) {
    line.x.push_back(i);
    line.y.push_back(i % 7);
  }
  chart.lines = {line};
  CHECK(lines_of(chart).size() < 20000);
  chart.lines[0].y.assign(100000, kNan);
  CHECK(lines_of(chart).empty());
  chart.lines.resize(9);
  CHECK_THROWS_AS(lines_of(chart), std::logic_error);
}

TEST_CASE("a logarithmic axis has whole decades and gaps for what has no logarithm", "[eval]") {
  finer::ReportLines chart;
  chart.is_log = true;
  finer::ReportLine line;
  line.x = {100, 200, 300, 400};
  line.y = {6, 0.6, 0, 0.06};
  chart.lines = {line};
  const auto html = lines_of(chart);
  for (const char* tick : {">0.01<", ">0.1<", ">1<", ">10<"}) CHECK(count_of(html, tick) == 1);
  CHECK(count_of(html, "class=\"tick-y\"") == 4);
  const size_t at = html.find("<path class=\"own\" d=\"");
  REQUIRE(at != std::string::npos);
  CHECK(count_of(html.substr(at, html.find("\"/>", at) - at), "M") == 2);
}

TEST_CASE("figures have their sign and no minus zero", "[eval]") {
  CHECK(finer::percent_cell({0.742, 0.65, 0.82}).text == "74.2");
  CHECK(finer::percent_cell({0.742, 0.65, 0.82}).note == "65.0\u201382.0");
  CHECK(finer::percent_cell({0, 0, 0}).note.empty());
  CHECK(finer::difference_cell({0.718, 0.6, 0.8}).text == "+71.8");
  CHECK(finer::difference_cell({-0.1, -0.2, 0.01}).note == "-20.0 to +1.0");
  CHECK(finer::difference_cell({-0.0001, -0.0002, 0.0001}).text == "0.0");
}

TEST_CASE("attributes are right when the concept has them, however they are written", "[eval]") {
  const auto found =
      finer::marked_attributes("Red beak., a black  wing; blue tail,", {"red beak", "black wing"});
  REQUIRE(found.size() == 3);
  CHECK(found[0].text == "Red beak.");
  CHECK(found[0].is_right);
  CHECK(found[1].is_right);
  CHECK_FALSE(found[2].is_right);
  CHECK(finer::marked_attributes(" , ;", {"x"}).empty());
}

TEST_CASE("a row of a table has a cell a column or is a heading", "[eval]") {
  finer::ReportTable table;
  table.columns = {{"a"}, {"b", true}};
  table.rows = {{{"heading"}}, {{"x"}, {"1", "0 to 2", true}}};
  const auto html = finer::table_html(table);
  CHECK_THAT(html, Contains("colspan=\"2\"><bdi>heading"));
  CHECK_THAT(html, Contains("class=\"num strong\""));
  table.rows.push_back({{"x"}, {"1"}, {"2"}});
  CHECK_THROWS_AS(finer::table_html(table), std::logic_error);
}

TEST_CASE("a picture of an unknown kind is refused", "[eval]") {
  auto report = demo::report();
  report.gallery[0].mime = "image/svg+xml";
  CHECK_THROWS_AS(finer::render(report), std::logic_error);
}

// tests/e2e/report.py asks for the pages that it opens in a browser.
TEST_CASE("the demonstration is written where the environment says", "[.demo]") {
  const char* folder = std::getenv("FINER_DEMO_REPORTS");
  if (folder == nullptr) return;
  for (const bool is_hostile : {false, true}) {
    std::ofstream out(std::string(folder) + (is_hostile ? "/hostile.html" : "/report.html"));
    out << finer::render(demo::report(is_hostile));
    REQUIRE(out.flush());
  }
}
