#include "finer/train/metrics.h"

#include "finer/core/error.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <stdlib.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <sstream>

namespace {

namespace fs = std::filesystem;

// A folder of its own that goes when the test ends.
class MetricsFolder {
 public:
  MetricsFolder() {
    std::string name = (fs::temp_directory_path() / "finer_metrics_XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~MetricsFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  fs::path file() const { return path_ / "metrics.jsonl"; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::string text_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

void put_text(const fs::path& file, const std::string& text) {
  std::ofstream(file, std::ios::binary) << text;
}

finer::StepMetrics metrics_at(int64_t step) {
  finer::StepMetrics m;
  m.step = step;
  m.epoch = static_cast<double>(step) / 7;
  m.loss = 1.0 / (static_cast<double>(step) + 2);
  m.lr = 2e-4 / 3;
  m.grad_norm = std::sqrt(2.0) * static_cast<double>(step);
  m.samples = 128;
  m.tokens = 90000 + step;
  m.label_tokens = 4001;
  m.seconds = 0.1 + 0.2;
  m.data_wait = 0.1;
  m.peak_bytes = int64_t{80} << 30;
  return m;
}

std::string lines(int64_t first, int64_t last) {
  std::string text;
  for (int64_t step = first; step <= last; ++step)
    text += finer::metrics_to_json(metrics_at(step)) + "\n";
  return text;
}

bool same_bits(double a, double b) { return std::memcmp(&a, &b, sizeof(a)) == 0; }

}  // namespace

TEST_CASE("a metrics line has the contract's keys and no others", "[train]") {
  const auto object = nlohmann::ordered_json::parse(finer::metrics_to_json(metrics_at(3)));
  std::vector<std::string> keys;
  for (const auto& item : object.items()) keys.push_back(item.key());
  CHECK(keys == std::vector<std::string>{"step", "epoch", "loss", "lr", "grad_norm", "samples",
                                         "tokens", "label_tokens", "seconds", "tokens_per_s",
                                         "samples_per_s", "peak_bytes", "data_wait"});
  CHECK(object["tokens_per_s"].get<double>() == 90003 / (0.1 + 0.2));
  CHECK(object["samples_per_s"].get<double>() == 128 / (0.1 + 0.2));
}

TEST_CASE("metrics come back from JSON bit for bit", "[train]") {
  for (const double loss : {0.1, 1.0 / 3, 5e-324, 1.7976931348623157e308, -0.0, 1.0, 12345678.9}) {
    auto m = metrics_at(7);
    m.loss = loss;
    const auto back = finer::metrics_from_json(finer::metrics_to_json(m));
    CHECK(same_bits(back.loss, loss));
    CHECK(same_bits(back.epoch, m.epoch));
    CHECK(same_bits(back.lr, m.lr));
    CHECK(same_bits(back.grad_norm, m.grad_norm));
    CHECK(same_bits(back.seconds, m.seconds));
    CHECK(same_bits(back.data_wait, m.data_wait));
    CHECK(back.step == 7);
    CHECK(back.samples == m.samples);
    CHECK(back.tokens == m.tokens);
    CHECK(back.label_tokens == m.label_tokens);
    CHECK(back.peak_bytes == m.peak_bytes);
    CHECK_FALSE(back.skipped);
  }
}

TEST_CASE("a loss that is not finite is null in JSON, with its text beside it", "[train]") {
  auto m = metrics_at(1);
  m.skipped = true;
  m.loss = std::numeric_limits<double>::quiet_NaN();
  m.grad_norm = std::numeric_limits<double>::infinity();
  const std::string line = finer::metrics_to_json(m);
  const auto object = nlohmann::json::parse(line);
  CHECK(object["loss"].is_null());
  CHECK(object["loss_text"] == "nan");
  CHECK(object["grad_norm"].is_null());
  CHECK(object["grad_norm_text"] == "inf");
  CHECK(object["skipped"] == true);
  auto back = finer::metrics_from_json(line);
  CHECK(std::isnan(back.loss));
  CHECK(back.grad_norm == std::numeric_limits<double>::infinity());
  CHECK(back.skipped);
  m.loss = -std::numeric_limits<double>::infinity();
  back = finer::metrics_from_json(finer::metrics_to_json(m));
  CHECK(back.loss == -std::numeric_limits<double>::infinity());
}

TEST_CASE("a new run begins metrics.jsonl anew, each line whole as soon as it is written",
          "[train]") {
  const MetricsFolder folder;
  put_text(folder.file(), "of an earlier run\n");
  finer::MetricsFile out(folder.file(), 0);
  CHECK(text_of(folder.file()).empty());
  out.write(metrics_at(1));
  CHECK(text_of(folder.file()) == lines(1, 1));
  out.write(metrics_at(2));
  out.sync();
  CHECK(text_of(folder.file()) == lines(1, 2));
}

TEST_CASE("a run resumed at step N has each step once", "[train]") {
  const MetricsFolder folder;
  const std::string half = lines(8, 8).substr(0, 50);
  const std::string tail = GENERATE(std::string(), std::string("HALF"), std::string(64, '\0'));
  put_text(folder.file(), lines(1, 7) + (tail == "HALF" ? half : tail));
  {
    finer::MetricsFile out(folder.file(), 5);
    CHECK(text_of(folder.file()) == lines(1, 5));
    for (int64_t step = 6; step <= 9; ++step) out.write(metrics_at(step));
  }
  CHECK(text_of(folder.file()) == lines(1, 9));
  CHECK(finer::read_metrics(folder.file()).size() == 9);
}

TEST_CASE("resuming drops a half-written line and keeps a whole one that lacks its newline",
          "[train]") {
  const MetricsFolder folder;
  std::string whole = lines(1, 4);
  whole.pop_back();
  put_text(folder.file(), whole);
  { const finer::MetricsFile out(folder.file(), 4); }
  CHECK(text_of(folder.file()) == lines(1, 4));
  put_text(folder.file(), whole.substr(0, whole.size() - 1));
  { const finer::MetricsFile out(folder.file(), 4); }
  CHECK(text_of(folder.file()) == lines(1, 3));
}

TEST_CASE("resuming at the last step leaves the file untouched", "[train]") {
  const MetricsFolder folder;
  put_text(folder.file(), lines(1, 4));
  const auto old_time = fs::file_time_type::clock::now() - std::chrono::hours(1);
  fs::last_write_time(folder.file(), old_time);
  { const finer::MetricsFile out(folder.file(), 4); }
  CHECK(fs::last_write_time(folder.file()) == old_time);
  CHECK(text_of(folder.file()) == lines(1, 4));
}

TEST_CASE("resuming without a metrics file begins one", "[train]") {
  const MetricsFolder folder;
  { finer::MetricsFile(folder.file(), 3).write(metrics_at(4)); }
  CHECK(text_of(folder.file()) == lines(4, 4));
}

TEST_CASE("a broken metrics line is reported with file, line and reason", "[train]") {
  const MetricsFolder folder;
  struct Case {
    std::string text;
    std::string reason;
  };
  std::string text_loss = lines(2, 2);
  text_loss.replace(text_loss.find("\"loss\":") + 7, 4, "\"x\",\"y\":0");
  std::string negative = lines(2, 2);
  negative.replace(negative.find("\"tokens\":") + 9, 5, "-90000");
  std::string huge = lines(2, 2);
  huge.replace(huge.find("\"tokens\":") + 9, 5, "18446744073709551615");
  const std::vector<Case> cases = {
      {"[1]\n", ":2: not a JSON object"},
      {"\n", ":2: not a JSON object"},
      {"{\"step\": 2}\n", ":2: key \"epoch\" is missing"},
      {text_loss, ":2: \"loss\" is string, expected a number"},
      {negative, ":2: \"tokens\" is -90000"},
      {huge, ":2: \"tokens\" is 18446744073709551615"},
      {lines(1, 1), ":2: step 1 follows step 1, expected a later one"},
  };
  for (const auto& c : cases) {
    put_text(folder.file(), lines(1, 1) + c.text + lines(3, 3));
    const auto message = Catch::Matchers::Contains("metrics.jsonl" + c.reason);
    CHECK_THROWS_WITH(finer::read_metrics(folder.file()), message);
    CHECK_THROWS_AS(finer::MetricsFile(folder.file(), 3), finer::Error);
    CHECK(text_of(folder.file()) == lines(1, 1) + c.text + lines(3, 3));  // nothing was lost
  }
}

TEST_CASE("a metrics file that cannot be written says why", "[train]") {
  const MetricsFolder folder;
  CHECK_THROWS_WITH(finer::MetricsFile(folder.path() / "none" / "metrics.jsonl", 0),
                    Catch::Matchers::Contains("No such file or directory"));
  if (fs::exists("/dev/full")) {
    finer::MetricsFile out("/dev/full", 0);
    CHECK_THROWS_WITH(out.write(metrics_at(1)),
                      Catch::Matchers::Contains("/dev/full: No space left"));
  }
}
