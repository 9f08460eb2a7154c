#pragma once

#include <algorithm>
#include <cstdint>

/// Compiles a float loop once for any x86-64, once for AVX2 + FMA and once for AVX-512; the loader
/// takes what the processor has. Sums may be reassociated: the result does not depend on the thread
/// count, rows are never split.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define FINER_CPU_ROWS                                                         \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), \
                 optimize("O3", "fast-math", "no-finite-math-only")))
#else
#define FINER_CPU_ROWS
#endif

namespace finer {

/// Rows of D floats that are worth a thread's wake-up.
inline int64_t rows_a_task(int64_t D) {
  return std::max<int64_t>(1, 16384 / std::max<int64_t>(1, D));
}

}  // namespace finer
