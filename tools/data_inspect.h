#pragma once

#include <CLI/CLI.hpp>

#include <functional>

namespace finer {

/// `finer-data inspect`: samples of a recipe, or of a file of conversations, as text or as a page.
std::function<void()> add_inspect(CLI::App& app);

}  // namespace finer
