#include "finer/train/run_report.h"

#include <catch2/catch.hpp>

#include <limits>
#include <regex>

namespace {

finer::RunReport small_report() {
  finer::RunReport report;
  report.title = "tiny";
  report.outcome = "finished";
  report.is_complete = true;
  for (int64_t step = 1; step <= 40; ++step) {
    finer::StepMetrics m;
    m.step = step;
    m.epoch = static_cast<double>(step) / 40;
    m.loss = 4.0 / static_cast<double>(step);
    m.lr = 1e-3;
    m.grad_norm = 1;
    m.samples = 8;
    m.tokens = 1000;
    m.label_tokens = 50;
    m.seconds = 0.5;
    m.data_wait = 0.01;
    m.peak_bytes = int64_t{3} << 30;
    report.metrics.push_back(m);
  }
  report.parts = {{"language", "lora", 100, 1000, 1e-3}, {"vision", "frozen", 0, 500, 0}};
  report.sets = {{"mix.json", "00ff", 320, 1}};
  report.counts = {{"samples cut", "3"}};
  report.environment = {{"device", "cpu"}};
  report.recipe_yaml = "seed: 0\n";
  return report;
}

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace

TEST_CASE("the report sums up the run in numbers and four curves", "[train]") {
  const auto html = finer::render(small_report());
  CHECK(count_of(html, "<figure class=\"chart\">") == 4);
  for (const std::string part :
       {">320</p>", ">40.0k", "2.0k of them targets", ">20 s<", "2.0k tokens/s", "3.0 GiB",
        "epoch 1.00", "samples cut", "seed: 0", "00ff", "2.0% waiting for data"}) {
    CHECK_THAT(html, Catch::Matchers::Contains(part));
  }
  // mean of the last 4 steps: (4/37 + 4/38 + 4/39 + 4/40) / 4
  CHECK_THAT(html, Catch::Matchers::Contains(
                       ">0.104</p><p class=\"more\">mean of the last 4 steps; first step 4<"));
}

TEST_CASE("the report asks nothing of any other place", "[train]") {
  auto report = small_report();
  finer::ReportSample sample;
  sample.picture = "\x89PNG";
  sample.mime = "image/png";
  report.samples = {sample};
  const auto html = finer::render(report);
  const std::regex source("(src|href)=\"([^\"]*)\"");
  for (auto at = std::sregex_iterator(html.begin(), html.end(), source);
       at != std::sregex_iterator(); ++at) {
    CHECK((*at)[2].str().rfind("data:", 0) == 0);
  }
  CHECK(html.find("http://") == std::string::npos);
  CHECK(html.find("https://") == std::string::npos);
  CHECK(html.find("url(") == std::string::npos);
  CHECK(html.find("@import") == std::string::npos);
  CHECK_THAT(html, Catch::Matchers::Contains("default-src 'none'"));
}

TEST_CASE("no text of the user becomes markup in the report", "[train]") {
  const std::string hostile =
      "\"'></pre></script><script>alert(1)</script><img src=x onerror=alert(2)>";
  const size_t scripts_before = count_of(finer::render(small_report()), "<script");
  auto report = small_report();
  report.title = report.outcome = report.when = report.recipe_yaml = hostile;
  report.headline = report.counts = report.environment = {{hostile, hostile}};
  report.parts = {{hostile, hostile, 1, 2, 0.1}};
  report.sets = {{hostile, hostile, 1, 1}};
  finer::ReportSample sample;
  sample.picture = hostile;
  sample.mime = "image/jpeg";
  sample.name = sample.question = sample.gold = sample.before = sample.answer = hostile;
  report.samples = {sample};
  const auto html = finer::render(report);
  CHECK(count_of(html, "<script") == scripts_before);
  CHECK(count_of(html, "<img ") == 1);
  CHECK(html.find("onerror=alert(2)>") == std::string::npos);
  CHECK(count_of(html, "onerror=alert(2)&gt;") >= 18);
  sample.mime = "text/html\" onload=\"alert(3)";
  report.samples = {sample};
  CHECK_THROWS_AS(finer::render(report), std::logic_error);
}

TEST_CASE("samples show question, gold answer and both answers, and how many agree", "[train]") {
  auto report = small_report();
  finer::ReportSample right, wrong;
  right.question = "What is it?";
  right.gold = "Adelaide Rosella";
  right.answer = " adelaide rosella\n";
  wrong.gold = "Crow";
  wrong.before = "A bird.";
  wrong.answer = "Cr";
  report.samples = {right, wrong};
  const auto html = finer::render(report);
  CHECK_THAT(html, Catch::Matchers::Contains("1 of these 2 answers equal the gold answer"));
  CHECK(count_of(html, "class=\"answer same\"") == 1);
  CHECK(count_of(html, "Before training") == 1);
  CHECK(count_of(html, "<img ") == 0);
}

TEST_CASE("skipped steps stay out of the loss and are counted", "[train]") {
  auto report = small_report();
  report.metrics.back().skipped = true;
  report.metrics.back().loss = std::numeric_limits<double>::quiet_NaN();
  report.metrics.back().grad_norm = std::numeric_limits<double>::infinity();
  const auto html = finer::render(report);
  CHECK_THAT(html, Catch::Matchers::Contains("1 skipped"));
  // mean of steps 36 to 39
  CHECK_THAT(html, Catch::Matchers::Contains(">0.1068</p>"));
}

TEST_CASE("a report of a run without a step can be written", "[train]") {
  CHECK_THAT(finer::render(finer::RunReport{}), Catch::Matchers::Contains("No step was taken"));
}

TEST_CASE("a part's rates are those that its parameters train at", "[train]") {
  CHECK(finer::rate_text({"language", "lora", 100, 1000, 2e-4}) == "0.0002");
  CHECK(finer::rate_text({"vision", "full", 100, 100, 1.5e-3, 90, 3e-3}) ==
        "0.0015, by Muon 0.003");
  CHECK(finer::rate_text({"projector", "full", 90, 90, 1.5e-3, 90, 3e-3}) == "by Muon 0.003");
  CHECK(finer::rate_text({"vision", "frozen", 0, 100, 2e-4}).empty());
}
