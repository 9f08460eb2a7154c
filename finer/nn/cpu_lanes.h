#pragma once

#include <cstdint>

/// Eight floats at a time, as GCC's vectors: AVX2 where the processor has it, pairs of SSE
/// elsewhere. For loops that no operator of LibTorch has and that the compiler does not vectorise
/// by itself.

#define FINER_INLINE inline __attribute__((always_inline))

/// Compiles a function for any x86-64 and for AVX2 + FMA. What it calls must be FINER_INLINE to be
/// compiled with it; sums keep their order.
#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define FINER_CLONES __attribute__((target_clones("arch=x86-64-v3", "default"), optimize("O3")))
#else
#define FINER_CLONES
#endif

namespace finer {

using Lanes = float __attribute__((vector_size(32)));
using IntLanes = int32_t __attribute__((vector_size(32)));
using LooseLanes = float __attribute__((vector_size(32), aligned(4), may_alias));

// By reference: as arguments and results of calls, Lanes would depend on the processor compiled
// for.
FINER_INLINE const LooseLanes& load_lanes(const float* p) {
  return *reinterpret_cast<const LooseLanes*>(p);
}
FINER_INLINE void store_lanes(float* p, const Lanes& x) { *reinterpret_cast<LooseLanes*>(p) = x; }

/// exp(x) for x up to about 80, to about one unit in the last place: x = n ln 2 + f, Taylor's row
/// for f. Below -87 it stays e^-87; NaN gives NaN.
FINER_INLINE void exp_lanes(Lanes& x) {
  const Lanes lowest = Lanes{} - 87.0F;
  x = x < lowest ? lowest : x;                // in this order a NaN stays
  const Lanes magic = Lanes{} + 12582912.0F;  // adding it rounds to whole numbers
  const Lanes n = (x * 1.44269504F + magic) - magic;
  const Lanes f = (x - n * 0.693145752F) - n * 1.42860677e-6F;  // ln 2 in two parts
  Lanes p = Lanes{} + 1.0F / 5040;
  p = p * f + 1.0F / 720;
  p = p * f + 1.0F / 120;
  p = p * f + 1.0F / 24;
  p = p * f + 1.0F / 6;
  p = p * f + 0.5F;
  p = p * f + 1.0F;
  p = p * f + 1.0F;
  const IntLanes exponent = (__builtin_convertvector(n, IntLanes) + 127) << 23;
  x = p * (Lanes)exponent;  // the same bits
}

/// row[j] = exp(row[j] - greatest) for n values, n a multiple of 8. Returns their sum.
FINER_INLINE float exp_row(float* row, int64_t n, float greatest) {
  Lanes sums{};
  for (int64_t j = 0; j < n; j += 8) {
    Lanes x = load_lanes(row + j) - greatest;
    exp_lanes(x);
    store_lanes(row + j, x);
    sums += x;
  }
  float sum = 0;
  for (int i = 0; i < 8; ++i) sum += sums[i];
  return sum;
}

}  // namespace finer
