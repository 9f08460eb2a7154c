#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <tuple>

/// The fused operators of finer/cuda, reached through the dispatcher: finer::swiglu,
/// finer::rms_norm, ...
///
/// To be called for CUDA tensors, and only where has_cuda_kernels(); elsewhere the ATen twin beside
/// each caller does the same. No gradients are recorded: callers are the bodies of autograd
/// functions. dtypes: float32, float16, bfloat16; sums and products in float32, rounded where the
/// twin rounds.
namespace finer {

/// True once open_device has opened libfiner_cuda.so.
bool has_cuda_kernels();

namespace cuda_ops {

/// gate_up_TX [T, 2F], unit stride in a row; returns [T, F].
at::Tensor swiglu(const at::Tensor& gate_up_TX);
/// Returns the gradient of gate_up_TX, [T, 2F].
at::Tensor swiglu_backward(const at::Tensor& dh_TF, const at::Tensor& gate_up_TX);

/// x_TD contiguous; weight [D], dtype of x or float32. Returns y [T, D] and rstd [T], float32.
std::tuple<at::Tensor, at::Tensor> rms_norm(const at::Tensor& x_TD, const at::Tensor& weight,
                                            double eps);
/// Returns dx [T, D].
at::Tensor rms_norm_backward(const at::Tensor& dy_TD, const at::Tensor& x_TD,
                             const at::Tensor& weight, const at::Tensor& rstd_T);

/// As rotate_heads_ of rope.h.
void rotate_heads_(const at::Tensor& x, int64_t heads, const at::Tensor& cos, const at::Tensor& sin,
                   int64_t direction);

/// x_TD contiguous, times the mask of finer/core/mask_hash.h: 0, or 1 / (1 - rate) in x's dtype.
at::Tensor drop(const at::Tensor& x_TD, double rate, uint64_t key);

/// What attend_cached reads of a CachedView, on the device.
struct CachedLists {
  at::Tensor slots;      // int32, lists one after the other
  at::Tensor tiles;      // int32, CachedTile after CachedTile (finer/core/cached_tile.h)
  at::Tensor own_lists;  // int32 [T, 2]: begin, count
  at::Tensor writes_to;  // int64 [T]
};

/// qkv_TX [T, (H + 2K) * C], rotated; keys and values [K, slots, C], into which each row's own go
/// first. Returns [T, H * C].
at::Tensor attend_cached(const at::Tensor& qkv_TX, const at::Tensor& keys, const at::Tensor& values,
                         const CachedLists& lists, int64_t heads, double scale);

}  // namespace cuda_ops
}  // namespace finer
