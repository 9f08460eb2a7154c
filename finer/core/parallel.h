#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace finer {

/// This machine's cores, 1 to 64: what a program's --threads begins with.
int64_t usual_threads();

/// Calls body(i) for i from 0 to count - 1 in up to `threads` threads, the caller's among them.
/// Returns when all have ended. Throws: the first exception of a body; then the rest of the calls
/// are left out.
void for_each_parallel(size_t count, int64_t threads, const std::function<void(size_t)>& body);

}  // namespace finer
