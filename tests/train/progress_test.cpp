#include "finer/train/progress.h"

#include "finer/core/console.h"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>

namespace {

// Sets or removes environment variables until the test ends.
class Environment {
 public:
  explicit Environment(const std::map<std::string, std::optional<std::string>>& wanted) {
    for (const auto& [name, value] : wanted) {
      const char* const old = getenv(name.c_str());
      before_[name] = old == nullptr ? std::nullopt : std::optional<std::string>(old);
    }
    apply(wanted);
  }
  ~Environment() { apply(before_); }

 private:
  static void apply(const std::map<std::string, std::optional<std::string>>& values) {
    for (const auto& [name, value] : values) {
      if (value) {
        setenv(name.c_str(), value->c_str(), 1);
      } else {
        unsetenv(name.c_str());
      }
    }
  }
  std::map<std::string, std::optional<std::string>> before_;
};

// Puts a terminal (or a pipe) in place of standard error and collects what is written to it.
class Capture {
 public:
  explicit Capture(int columns) {
    int writer = -1;
    if (columns > 0) {
      reader_ = posix_openpt(O_RDWR | O_NOCTTY);
      REQUIRE(reader_ >= 0);
      REQUIRE(grantpt(reader_) == 0);
      REQUIRE(unlockpt(reader_) == 0);
      writer = open(ptsname(reader_), O_RDWR | O_NOCTTY);
      winsize size = {};
      size.ws_col = static_cast<unsigned short>(columns);
      size.ws_row = 24;
      REQUIRE(ioctl(writer, TIOCSWINSZ, &size) == 0);
    } else {
      int ends[2];
      REQUIRE(pipe(ends) == 0);
      reader_ = ends[0];
      writer = ends[1];
    }
    REQUIRE(writer >= 0);
    saved_ = dup(STDERR_FILENO);
    dup2(writer, STDERR_FILENO);
    close(writer);
    fcntl(reader_, F_SETFL, O_NONBLOCK);
  }
  ~Capture() {
    dup2(saved_, STDERR_FILENO);
    close(saved_);
    close(reader_);
  }
  std::string text() {
    char buffer[4096];
    for (ssize_t n = 0; (n = read(reader_, buffer, sizeof(buffer))) > 0;) {
      all_.append(buffer, static_cast<size_t>(n));
    }
    return all_;
  }

 private:
  int reader_ = -1;
  int saved_ = -1;
  std::string all_;
};

// What a terminal shows after these bytes: carriage return, newline, "erase line" and colours are
// understood.
std::vector<std::string> screen(const std::string& bytes) {
  std::vector<std::string> rows(1);
  size_t column = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] == '\r') {
      column = 0;
    } else if (bytes[i] == '\n') {
      rows.emplace_back();
      column = 0;
    } else if (bytes[i] == '\x1b') {
      const size_t end = bytes.find_first_of("mK", i);
      REQUIRE(end != std::string::npos);
      if (bytes[end] == 'K') rows.back().clear();
      i = end;
    } else {
      if (rows.back().size() <= column) rows.back().resize(column + 1, ' ');
      rows.back()[column++] = bytes[i];
    }
  }
  return rows;
}

finer::StepMetrics progress_at(int64_t step) {
  finer::StepMetrics m;
  m.step = step;
  m.loss = 1.23456;
  m.lr = 1.98e-4;
  m.tokens = 8123;
  m.seconds = 1;
  m.data_wait = 0.004;
  return m;
}

const std::map<std::string, std::optional<std::string>> kTerminal = {
    {"CI", std::nullopt}, {"NO_COLOR", std::nullopt}, {"TERM", "xterm"}};

}  // namespace

TEST_CASE("a progress line says step, loss, rate, speed, waiting and time left", "[train]") {
  CHECK(finer::progress_line(progress_at(120), 5197, 5025, 0, false) ==
        "step 120/5197  2%  loss 1.235  lr 0.000198  8.1k tok/s  wait 0.4%  eta 1:23:45");
  CHECK(finer::progress_line(progress_at(29), 50, -1, 0, false) ==
        "step 29/50  58%  loss 1.235  lr 0.000198  8.1k tok/s  wait 0.4%");
  auto skipped = progress_at(3);
  skipped.skipped = true;
  CHECK_THAT(finer::progress_line(skipped, 5, -1, 0, false),
             Catch::Matchers::Contains("(skipped)"));
}

TEST_CASE("a progress line never exceeds the terminal, and gives up the least telling fields first",
          "[train]") {
  for (int columns = 1; columns <= 200; ++columns) {
    const auto line = finer::progress_line(progress_at(120), 5197, 5025, columns, false);
    INFO(columns << ": " << line);
    CHECK(static_cast<int>(line.size()) <= columns);
    CHECK((columns < 27 || line.find("loss 1.235") != std::string::npos));
    CHECK((columns < 13 || line.rfind("step 120/5197", 0) == 0));
  }
  CHECK(finer::progress_line(progress_at(120), 5197, 5025, 40, false) ==
        "step 120/5197  loss 1.235  eta 1:23:45");
  CHECK(finer::progress_line(progress_at(120), 5197, 5025, 79, false) ==
        "step 120/5197  [              ]  loss 1.235  8.1k tok/s  wait 0.4%  eta 1:23:45");
  CHECK(finer::progress_line(progress_at(50), 100, 60, 120, false) ==
        "step 50/100  [==================>                   ]  50%  loss 1.235  lr 0.000198  8.1k "
        "tok/s  "
        "wait 0.4%  eta 1:00");
  // Colours take no columns.
  const auto colored = finer::progress_line(progress_at(50), 100, 60, 120, true);
  CHECK(screen(colored).at(0) == finer::progress_line(progress_at(50), 100, 60, 120, false));
}

TEST_CASE("log lines stand above the bar and leave nothing of it behind", "[train]") {
  const Environment environment(kTerminal);
  Capture capture(80);
  {
    finer::Progress progress(1, 3, 1);
    progress.update(progress_at(1));
    finer::console::write_line("short");
    auto rows = screen(capture.text());
    REQUIRE(rows.size() == 2);
    CHECK(rows[0] == "short");
    CHECK(rows[1].rfind("step 1/3  [", 0) == 0);
    CHECK(rows[1].size() < 80);
    finer::console::write_line("next");
    progress.update(progress_at(3));
    rows = screen(capture.text());
    REQUIRE(rows.size() == 3);
    CHECK(rows[1] == "next");
    CHECK(rows[2].rfind("step 3/3  [", 0) == 0);
  }
  finer::console::write_line("after");
  const auto rows = screen(capture.text());
  REQUIRE(rows.size() == 5);
  CHECK(rows[2] == "step 3/3  100%  loss 1.235  lr 0.000198  8.1k tok/s  wait 0.4%");
  CHECK(rows[3] == "after");
  CHECK(rows[4].empty());
}

TEST_CASE("the bar is redrawn at most ten times a second", "[train]") {
  const Environment environment(kTerminal);
  Capture capture(80);
  finer::Progress progress(1, 100000, 1);
  for (int64_t step = 1; step <= 1000; ++step) progress.update(progress_at(step));
  const std::string text = capture.text();
  CHECK(std::count(text.begin(), text.end(), '\r') < 20);
}

TEST_CASE("in CI and without a terminal, progress is plain lines every so many steps", "[train]") {
  auto variables = kTerminal;
  const bool in_ci = GENERATE(false, true);
  if (in_ci) variables["CI"] = "true";
  const Environment environment(variables);
  Capture capture(in_ci ? 80 : 0);
  {
    finer::Progress progress(1, 25, 10);
    for (int64_t step = 1; step <= 25; ++step) progress.update(progress_at(step));
  }
  std::string text = capture.text();
  CHECK(text.find('\x1b') == std::string::npos);
  text.erase(std::remove(text.begin(), text.end(), '\r'),
             text.end());  // the terminal's own, before newlines
  const auto rows = screen(text);
  REQUIRE(rows.size() == 5);
  CHECK(rows[0].rfind("step 1/25", 0) == 0);
  CHECK(rows[1].rfind("step 10/25", 0) == 0);
  CHECK(rows[2].rfind("step 20/25", 0) == 0);
  CHECK(rows[3].rfind("step 25/25  100%", 0) == 0);
}

TEST_CASE("NO_COLOR takes the colours and leaves the bar", "[train]") {
  auto variables = kTerminal;
  const bool no_color = GENERATE(false, true);
  if (no_color) variables["NO_COLOR"] = "1";
  const Environment environment(variables);
  Capture capture(120);
  finer::Progress progress(1, 3, 1);
  progress.update(progress_at(2));
  const std::string text = capture.text();
  CHECK((text.find("\x1b[36m") == std::string::npos) == no_color);
  CHECK(text.find("\x1b[2K") != std::string::npos);
}

TEST_CASE("a line cannot steer the terminal", "[train]") {
  Capture capture(0);
  finer::console::write_line("a\x1b[2Jb\rc\x7f");
  CHECK(capture.text() == "a?[2Jb?c?\n");
}
