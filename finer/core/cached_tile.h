#pragma once

#include <cstdint>

namespace finer {

/// Rows of one group of a CachedView (finer/nn/cached_attention.h) whose queries of one key head
/// share a block of the CUDA kernel. What the host writes and the kernel reads.
struct CachedTile {
  int32_t first_row, num_rows, shared_begin, shared_count;
  int32_t has_common_list;  // 1: the rows' own lists begin at the same place
};

/// Most queries of one key head in a tile: rows times query heads a key head.
constexpr int64_t kCachedQueries = 8;

/// Whether the kernel takes heads of C values, G of them to a key head.
constexpr bool takes_cached(int64_t C, int64_t G) {
  return (C == 32 || C == 64 || C == 128) && G <= kCachedQueries;
}

}  // namespace finer
