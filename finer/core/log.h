#pragma once

#include <filesystem>
#include <string>

namespace finer::log {

/// One line each, to stderr and, once set, to a file. Threads: any.
void info(const std::string& line);
void warn(const std::string& line);
void debug(const std::string& line);  // file only, unless FINER_LOG=debug

/// Also writes everything to this file (appending), created with its folders.
void add_file(const std::filesystem::path& path);

}  // namespace finer::log
