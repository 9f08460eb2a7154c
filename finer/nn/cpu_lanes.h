#pragma once

#include <cstdint>

/// Eight or sixteen floats at a time, as GCC's vectors: AVX-512 or AVX2 where the processor has it,
/// pairs of SSE elsewhere. For loops that no operator of LibTorch has and that the compiler does
/// not vectorise by itself.

#define FINER_INLINE inline __attribute__((always_inline))

/// FINER_CLONES compiles a function for any x86-64 and for AVX2 + FMA, FINER_WIDE one for AVX-512,
/// to be called where has_wide_lanes(). What they call must be FINER_INLINE to be compiled with
/// them; sums keep their order.
#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define FINER_CLONES __attribute__((target_clones("arch=x86-64-v3", "default"), optimize("O3")))
#define FINER_WIDE __attribute__((target("arch=x86-64-v4"), optimize("O3")))
#define FINER_HAS_CLONES 1
#else
#define FINER_CLONES
#define FINER_WIDE
#define FINER_HAS_CLONES 0
#endif

namespace finer {

template <int kLanes>
struct LanesOf;
template <>
struct LanesOf<8> {
  using Floats = float __attribute__((vector_size(32)));
  using Ints = int32_t __attribute__((vector_size(32)));
  using Loose = float __attribute__((vector_size(32), aligned(4), may_alias));
};
template <>
struct LanesOf<16> {
  using Floats = float __attribute__((vector_size(64)));
  using Ints = int32_t __attribute__((vector_size(64)));
  using Loose = float __attribute__((vector_size(64), aligned(4), may_alias));
};
using Lanes = LanesOf<8>::Floats;
using IntLanes = LanesOf<8>::Ints;

/// Whether the processor has AVX-512 and LibTorch uses it: ATEN_CPU_CAPABILITY=avx2 turns it off
/// for both.
bool has_wide_lanes();

// By reference: as arguments and results of calls, Lanes would depend on the processor compiled
// for.
template <int kLanes = 8>
FINER_INLINE const typename LanesOf<kLanes>::Loose& load_lanes(const float* p) {
  return *reinterpret_cast<const typename LanesOf<kLanes>::Loose*>(p);
}
template <int kLanes = 8>
FINER_INLINE void store_lanes(float* p, const typename LanesOf<kLanes>::Floats& x) {
  *reinterpret_cast<typename LanesOf<kLanes>::Loose*>(p) = x;
}

/// exp(x) for x up to about 80, to about one unit in the last place: x = n ln 2 + f, Taylor's row
/// for f. Below -87 it stays e^-87; NaN gives NaN.
template <int kLanes = 8>
FINER_INLINE void exp_lanes(typename LanesOf<kLanes>::Floats& x) {
  using Lanes = typename LanesOf<kLanes>::Floats;
  using IntLanes = typename LanesOf<kLanes>::Ints;
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

/// row[j] = exp(row[j] - greatest) for n values, n a multiple of kLanes. Returns their sum, in the
/// same order for any kLanes.
template <int kLanes = 8>
FINER_INLINE float exp_row(float* row, int64_t n, float greatest) {
  Lanes sums{};
  for (int64_t j = 0; j < n; j += kLanes) {
    typename LanesOf<kLanes>::Floats x = load_lanes<kLanes>(row + j) - greatest;
    exp_lanes<kLanes>(x);
    store_lanes<kLanes>(row + j, x);
    for (int i = 0; i < kLanes; i += 8) sums += load_lanes(row + j + i);
  }
  float sum = 0;
  for (int i = 0; i < 8; ++i) sum += sums[i];
  return sum;
}

}  // namespace finer
