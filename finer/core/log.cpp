#include "finer/core/log.h"

// Debian's spdlog is a shared library built on the system's fmt; these two say so. No other file
// may include spdlog: LibTorch's headers carry a newer fmt that it does not compile against.
#ifndef SPDLOG_COMPILED_LIB
#define SPDLOG_COMPILED_LIB
#endif
#ifndef SPDLOG_FMT_EXTERNAL
#define SPDLOG_FMT_EXTERNAL
#endif
#include "finer/core/console.h"
#include "finer/core/error.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/dist_sink.h>

#include <cstdlib>
#include <memory>
#include <mutex>
#include <string_view>

namespace finer::log {

namespace {

// Through the console, so that a line and the status below it do not garble each other.
class ConsoleSink : public spdlog::sinks::base_sink<std::mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    console::write_line({line.data(), line.size()});
  }
  void flush_() override {}
};

struct Sinks {
  std::shared_ptr<spdlog::sinks::dist_sink_mt> all =
      std::make_shared<spdlog::sinks::dist_sink_mt>();
  std::shared_ptr<spdlog::logger> logger = std::make_shared<spdlog::logger>("finer", all);

  Sinks() {
    const char* wanted = std::getenv("FINER_LOG");
    const bool is_debug = wanted != nullptr && std::string_view(wanted) == "debug";
    auto terminal = std::make_shared<ConsoleSink>();
    terminal->set_level(is_debug ? spdlog::level::debug : spdlog::level::info);
    // The console ends the line itself.
    terminal->set_formatter(std::make_unique<spdlog::pattern_formatter>(
        "%H:%M:%S %v", spdlog::pattern_time_type::local, ""));
    all->add_sink(std::move(terminal));
    logger->set_level(spdlog::level::debug);
    logger->flush_on(spdlog::level::debug);  // a killed run leaves its last line
  }
};

// Never destroyed: a destructor of another static may still log.
Sinks& shared_sinks() {
  static auto* sinks = new Sinks;
  return *sinks;
}

void write_line(spdlog::level::level_enum level, const std::string& line) {
  std::string one_line = level == spdlog::level::warn ? "warning: " : "";
  for (const char c : line) {
    if (c == '\n') {
      one_line += "\\n";
    } else {
      one_line += c;
    }
  }
  shared_sinks().logger->log(level, spdlog::string_view_t(one_line));
}

}  // namespace

void info(const std::string& line) { write_line(spdlog::level::info, line); }
void warn(const std::string& line) { write_line(spdlog::level::warn, line); }
void debug(const std::string& line) { write_line(spdlog::level::debug, line); }

void add_file(const std::filesystem::path& path) {
  try {
    if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path());
    auto file = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path.string());
    file->set_pattern("%Y-%m-%dT%H:%M:%S%z %v");
    shared_sinks().all->add_sink(std::move(file));
  } catch (const std::exception& error) {
    throw Error(path.string() + ": the log file cannot be opened: " + error.what());
  }
}

}  // namespace finer::log
