#pragma once

#include <functional>
#include <string>

namespace finer::cli {

/// What `--version` prints: version, commit, LibTorch, CUDA the kernels were built with.
std::string version_text();

/// Runs a program's body and turns what it throws into one line on stderr and an exit code: 2 for
/// finer::Error (the user's input), 1 for anything else (ours), or what the body returns. The
/// program ends here, with that code; only a sanitizer's build returns it.
int run(const std::string& program, const std::function<int()>& body);

}  // namespace finer::cli
