#pragma once

#include <CLI/CLI.hpp>

#include <functional>

namespace finer {

/// `finer-data check`: adds its options, returns its body, which throws where there are faults.
std::function<void()> add_check(CLI::App& app);

}  // namespace finer
