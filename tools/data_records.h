#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace finer {

/// `finer-data records`: options, and what to run once they are parsed.
std::function<void()> add_records(CLI::App& app);

}  // namespace finer
