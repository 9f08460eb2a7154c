#pragma once

#include <CLI/CLI.hpp>

#include <functional>

namespace finer {

/// finer-data mixture: adds its options, returns its body.
std::function<void()> add_mixture(CLI::App& app);

}  // namespace finer
