#pragma once

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

}  // namespace finer::cuda
