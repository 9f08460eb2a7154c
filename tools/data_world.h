#pragma once

#include <CLI/CLI.hpp>

#include <functional>

namespace finer {

/// `finer-data world`: draws the miniature's world. Returns what the command does.
std::function<void()> add_world(CLI::App& app);

/// `finer-data world-check`: looks for held-out pictures in training files.
std::function<void()> add_world_check(CLI::App& app);

}  // namespace finer
