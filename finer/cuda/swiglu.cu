#include "finer/cuda/launch.h"
#include "finer/cuda/values.cuh"

namespace finer::cuda {

namespace {

__device__ float sigmoid(float x) { return 1.0F / (1.0F + expf(-x)); }

// One block a row. Twin: silu(gate), rounded, times up (`LlamaMLP` rounds there too).
template <class T, int N>
__global__ void swiglu_rows(const T* gate_up, T* out, int64_t F, int64_t stride) {
  const T* gate = gate_up + blockIdx.x * stride;
  const T* up = gate + F;
  T* row = out + blockIdx.x * F;
  for (int64_t i = threadIdx.x * N; i < F; i += static_cast<int64_t>(blockDim.x) * N) {
    const auto g = load<T, N>(gate + i), u = load<T, N>(up + i);
    Pack<T, N> h;
#pragma unroll
    for (int n = 0; n < N; ++n) {
      const float x = to_float(g.v[n]);
      h.v[n] = from_float<T>(rounded<T>(x / (1.0F + expf(-x))) * to_float(u.v[n]));
    }
    store(row + i, h);
  }
}

// d_up = silu(gate) dh; d_gate = dh up s (1 + gate (1 - s)) with s = sigmoid(gate).
template <class T, int N>
__global__ void swiglu_backward_rows(const T* dh, const T* gate_up, T* d_gate_up, int64_t F,
                                     int64_t stride) {
  const T* gate = gate_up + blockIdx.x * stride;
  const T* up = gate + F;
  const T* grad = dh + blockIdx.x * F;
  T* d_gate = d_gate_up + blockIdx.x * 2 * F;
  T* d_up = d_gate + F;
  for (int64_t i = threadIdx.x * N; i < F; i += static_cast<int64_t>(blockDim.x) * N) {
    const auto g = load<T, N>(gate + i), u = load<T, N>(up + i), d = load<T, N>(grad + i);
    Pack<T, N> dg, du;
#pragma unroll
    for (int n = 0; n < N; ++n) {
      const float x = to_float(g.v[n]), dy = to_float(d.v[n]), s = sigmoid(x);
      du.v[n] = from_float<T>(rounded<T>(x / (1.0F + expf(-x))) * dy);
      dg.v[n] = from_float<T>(rounded<T>(dy * to_float(u.v[n])) * s * (1.0F + x * (1.0F - s)));
    }
    store(d_gate + i, dg);
    store(d_up + i, du);
  }
}

template <class T>
void swiglu_of(const void* gate_up, void* out, int64_t T_rows, int64_t F, int64_t stride,
               cudaStream_t stream) {
  constexpr int N = kPackSize<T>;
  const auto* in = static_cast<const T*>(gate_up);
  auto* h = static_cast<T*>(out);
  const auto blocks = static_cast<unsigned>(T_rows);
  if (F % N == 0 && stride % N == 0 && is_aligned(in) && is_aligned(h)) {
    launch(swiglu_rows<T, N>, blocks, threads_for(F / N), stream, in, h, F, stride);
  } else {
    launch(swiglu_rows<T, 1>, blocks, threads_for(F), stream, in, h, F, stride);
  }
}

template <class T>
void swiglu_backward_of(const void* dh, const void* gate_up, void* d_gate_up, int64_t T_rows,
                        int64_t F, int64_t stride, cudaStream_t stream) {
  constexpr int N = kPackSize<T>;
  const auto *grad = static_cast<const T*>(dh), *in = static_cast<const T*>(gate_up);
  auto* out = static_cast<T*>(d_gate_up);
  const auto blocks = static_cast<unsigned>(T_rows);
  if (F % N == 0 && stride % N == 0 && is_aligned(grad) && is_aligned(in) && is_aligned(out)) {
    launch(swiglu_backward_rows<T, N>, blocks, threads_for(F / N), stream, grad, in, out, F,
           stride);
  } else {
    launch(swiglu_backward_rows<T, 1>, blocks, threads_for(F), stream, grad, in, out, F, stride);
  }
}

}  // namespace

void launch_swiglu(Dtype dtype, const void* gate_up, void* out, int64_t T, int64_t F,
                   int64_t stride, cudaStream_t stream) {
  if (T == 0 || F == 0) return;
  switch (dtype) {
    case Dtype::kFloat:
      return swiglu_of<float>(gate_up, out, T, F, stride, stream);
    case Dtype::kHalf:
      return swiglu_of<__half>(gate_up, out, T, F, stride, stream);
    case Dtype::kBfloat16:
      return swiglu_of<__nv_bfloat16>(gate_up, out, T, F, stride, stream);
  }
}

void launch_swiglu_backward(Dtype dtype, const void* dh, const void* gate_up, void* d_gate_up,
                            int64_t T, int64_t F, int64_t stride, cudaStream_t stream) {
  if (T == 0 || F == 0) return;
  switch (dtype) {
    case Dtype::kFloat:
      return swiglu_backward_of<float>(dh, gate_up, d_gate_up, T, F, stride, stream);
    case Dtype::kHalf:
      return swiglu_backward_of<__half>(dh, gate_up, d_gate_up, T, F, stride, stream);
    case Dtype::kBfloat16:
      return swiglu_backward_of<__nv_bfloat16>(dh, gate_up, d_gate_up, T, F, stride, stream);
  }
}

}  // namespace finer::cuda
