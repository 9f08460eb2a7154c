#include "finer/core/log.h"

#include "finer/core/error.h"
#include "tests/core/temporary_folder.h"

#include <catch2/catch.hpp>
#include <stdio.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

namespace {

std::string read_log(const std::filesystem::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

// What `act` writes to stderr.
std::string stderr_of(const std::function<void()>& act) {
  const finer::TemporaryFolder folder;
  const auto path = folder / "stderr";
  fflush(stderr);
  const int saved = ::dup(STDERR_FILENO);
  FILE* file = fopen(path.c_str(), "w");
  ::dup2(fileno(file), STDERR_FILENO);
  act();
  fflush(stderr);
  ::dup2(saved, STDERR_FILENO);
  ::close(saved);
  fclose(file);
  return read_log(path);
}

std::string output_of(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  std::string text;
  for (int c = fgetc(pipe); c != EOF; c = fgetc(pipe)) text += static_cast<char>(c);
  pclose(pipe);
  return text;
}

}  // namespace

// Run by the next test in a process of its own: the variable is read once.
TEST_CASE("says one debug line", "[.log-debug-line]") { finer::log::debug("only when asked"); }

TEST_CASE("debug lines reach stderr only when FINER_LOG says so", "[core]") {
  char self[4096] = {};
  REQUIRE(::readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
  const std::string run = "'" + std::string(self) + "' '[.log-debug-line]' 2>&1 >/dev/null";
  CHECK_THAT(output_of("FINER_LOG=debug " + run), Catch::Contains("only when asked"));
  CHECK(output_of("FINER_LOG= " + run).empty());
}

TEST_CASE("info and warn go to stderr, one line each, debug does not", "[core]") {
  const auto text = stderr_of([] {
    finer::log::info("{} is not a format\nsecond");
    finer::log::warn("careful");
    finer::log::debug("hidden");
  });
  CHECK_THAT(text, Catch::Matches("\\d\\d:\\d\\d:\\d\\d \\{\\} is not a format\\\\nsecond\n"
                                  "\\d\\d:\\d\\d:\\d\\d warning: careful\n"));
}

TEST_CASE("a log file gets every line and is appended to, its folders made", "[core]") {
  const finer::TemporaryFolder folder;
  const auto path = folder.path() / "run" / "logs" / "finer.log";
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path) << "before\n";
  stderr_of([&] {
    finer::log::add_file(path);
    finer::log::info("one");
    finer::log::debug("two");
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([] {
        for (int j = 0; j < 100; ++j) finer::log::info("from a thread");
      });
    }
    for (auto& thread : threads) thread.join();
  });
  const auto text = read_log(path);
  CHECK_THAT(text, Catch::StartsWith("before\n") && Catch::Contains(" one\n") &&
                       Catch::Contains(" two\n"));
  CHECK(std::count(text.begin(), text.end(), '\n') == 403);
}

TEST_CASE("a log file that cannot be opened is the user's error", "[core]") {
  const finer::TemporaryFolder folder;
  std::ofstream(folder / "file") << "x";
  CHECK_THROWS_AS(finer::log::add_file(folder.path() / "file" / "log"), finer::Error);
}
