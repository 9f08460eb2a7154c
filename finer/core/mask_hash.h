#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define FINER_ON_BOTH __host__ __device__ __forceinline__
#else
#define FINER_ON_BOTH __attribute__((always_inline)) inline
#endif

namespace finer {

/// What an element of a dropout mask is decided by, on the CPU and on CUDA: 24 bits of a hash of
/// its column and its row's key. The rounds are those of C. Wellons' "lowbias32", with the second
/// half of the key between them.
FINER_ON_BOTH uint32_t mask_bits(uint32_t column, uint32_t low, uint32_t high) {
  uint32_t h = column ^ low;
  h ^= h >> 16;
  h *= 0x7feb352dU;
  h ^= h >> 15;
  h += high;
  h *= 0x846ca68bU;
  h ^= h >> 16;
  return h >> 8;
}

/// The key of row t, whose low and high half mask_bits gets: columns are counted in 32 bits.
FINER_ON_BOTH uint64_t mask_row_key(uint64_t key, int64_t t) {
  return (key + static_cast<uint64_t>(t)) * 0x9e3779b97f4a7c15ULL;
}

/// Elements whose bits are below this are kept.
inline int32_t mask_kept_below(double rate) {
  return static_cast<int32_t>((1.0 - rate) * (1 << 24) + 0.5);
}

}  // namespace finer
