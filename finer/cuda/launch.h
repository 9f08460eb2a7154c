#pragma once

#include "finer/core/cached_tile.h"

#include <cuda_runtime_api.h>

#include <cstdint>

/// Launchers of the kernels: plain pointers in, so that the .cu files see nothing of LibTorch and
/// compile in seconds.
///
/// Rows are T; pointers are to device memory; work is queued on `stream`, and a launch error is
/// left for cudaGetLastError. 16 bytes are read at a time where every row starts at a multiple of
/// 16, single values elsewhere.
namespace finer::cuda {

enum class Dtype { kFloat, kHalf, kBfloat16 };

/// out [T, F] = silu(gate) * up of gate_up [T, >= 2F] whose rows are `stride` values apart.
void launch_swiglu(Dtype dtype, const void* gate_up, void* out, int64_t T, int64_t F,
                   int64_t stride, cudaStream_t stream);
/// d_gate_up [T, 2F] contiguous, dh [T, F] contiguous.
void launch_swiglu_backward(Dtype dtype, const void* dh, const void* gate_up, void* d_gate_up,
                            int64_t T, int64_t F, int64_t stride, cudaStream_t stream);

/// y [T, D] and rstd [T] of x [T, D], all contiguous; weight [D] is of `weight_dtype`: dtype or
/// float.
void launch_rms_norm(Dtype dtype, Dtype weight_dtype, const void* x, const void* weight, void* y,
                     float* rstd, int64_t T, int64_t D, float eps, cudaStream_t stream);
void launch_rms_norm_backward(Dtype dtype, Dtype weight_dtype, const void* dy, const void* x,
                              const void* weight, const float* rstd, void* dx, int64_t T, int64_t D,
                              cudaStream_t stream);

/// Rotates pairs (c, c + half) of the first `heads` heads of each row in place; cos and sin [T,
/// half], sin times `sign`.
void launch_rotary(Dtype dtype, void* x, const float* cos, const float* sin, int64_t T,
                   int64_t heads, int64_t half, int64_t stride, float sign, cudaStream_t stream);

/// out [T, D] = x times a mask that is a function of key, row and column (finer/core/mask_hash.h):
/// `scale`, rounded to dtype, or 0.
void launch_drop(Dtype dtype, const void* x, void* out, int64_t T, int64_t D, uint64_t key,
                 int32_t kept_below, float scale, cudaStream_t stream);

struct CachedArgs {
  const void* qkv;           // [num_rows, (H + 2K) * C], rotated, rows `stride` values apart
  void *keys, *values;       // [K, num_slots, C] contiguous
  void* out;                 // [num_rows, H * C] contiguous
  const int32_t* slots;      // lists, one after the other
  const CachedTile* tiles;   // [num_tiles]; rows times H / K at most kCachedQueries
  const int32_t* own_lists;  // [num_rows, 2]: begin in `slots`, count
  const int64_t* writes_to;  // [num_rows] slots, all different
  int64_t num_rows, num_tiles, stride, H, K, C, num_slots;
  float scale;
};

/// Stores keys and values of every row in its slot, then attends over the lists. C: 32, 64 or 128.
/// Softmax on the way over blocks of 32 keys, four warps each with every fourth block; sums in
/// float32 and in an order that depends on the lists alone. Sources:
/// https://arxiv.org/abs/1805.02867, https://arxiv.org/abs/2309.06180 (lists of slots).
void launch_cached_attention(Dtype dtype, const CachedArgs& args, cudaStream_t stream);

}  // namespace finer::cuda
