#include "finer/cuda/launch.h"
#include "finer/cuda/values.cuh"

namespace finer::cuda {

namespace {

// Sum over the block, given to every thread. The order is fixed, so the same input gives the same
// bits.
__device__ float block_sum(float x) {
  __shared__ float of_warp[16];
  x = warp_sum(x);
  if (blockDim.x == 32) return x;
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = x;
  __syncthreads();
  float sum = 0.0F;
  for (unsigned w = 0; w < blockDim.x / 32; ++w) sum += of_warp[w];
  return sum;
}

// One block a row; the second pass over the row is answered by the L1 cache.
template <class T, class W, int N>
__global__ void rms_norm_rows(const T* x, const W* weight, T* y, float* rstd, int64_t D,
                              float eps) {
  const T* row = x + blockIdx.x * D;
  T* out = y + blockIdx.x * D;
  const int64_t step = static_cast<int64_t>(blockDim.x) * N;
  float sum = 0.0F;
  for (int64_t d = threadIdx.x * N; d < D; d += step) {
    const auto a = load<T, N>(row + d);
#pragma unroll
    for (int n = 0; n < N; ++n) sum += to_float(a.v[n]) * to_float(a.v[n]);
  }
  const float r = 1.0F / sqrtf(block_sum(sum) / static_cast<float>(D) + eps);
  if (threadIdx.x == 0) rstd[blockIdx.x] = r;
  for (int64_t d = threadIdx.x * N; d < D; d += step) {
    const auto a = load<T, N>(row + d);
    const auto w = load<W, N>(weight + d);
    Pack<T, N> b;
#pragma unroll
    for (int n = 0; n < N; ++n) {
      b.v[n] = from_float<T>(rounded<T>(to_float(a.v[n]) * r) * rounded<T>(to_float(w.v[n])));
    }
    store(out + d, b);
  }
}

// dx = rstd (w dy) - x rstd^3 / D sum(w dy x)
template <class T, class W, int N>
__global__ void rms_norm_backward_rows(const T* dy, const T* x, const W* weight, const float* rstd,
                                       T* dx, int64_t D) {
  const T* grad = dy + blockIdx.x * D;
  const T* row = x + blockIdx.x * D;
  T* out = dx + blockIdx.x * D;
  const int64_t step = static_cast<int64_t>(blockDim.x) * N;
  float dot = 0.0F;
  for (int64_t d = threadIdx.x * N; d < D; d += step) {
    const auto g = load<T, N>(grad + d), a = load<T, N>(row + d);
    const auto w = load<W, N>(weight + d);
#pragma unroll
    for (int n = 0; n < N; ++n) dot += to_float(g.v[n]) * to_float(w.v[n]) * to_float(a.v[n]);
  }
  const float r = rstd[blockIdx.x];
  const float k = block_sum(dot) / static_cast<float>(D) * r * r * r;
  for (int64_t d = threadIdx.x * N; d < D; d += step) {
    const auto g = load<T, N>(grad + d), a = load<T, N>(row + d);
    const auto w = load<W, N>(weight + d);
    Pack<T, N> b;
#pragma unroll
    for (int n = 0; n < N; ++n) {
      b.v[n] = from_float<T>(to_float(g.v[n]) * to_float(w.v[n]) * r - to_float(a.v[n]) * k);
    }
    store(out + d, b);
  }
}

template <class T, class W>
void rms_norm_of(const void* x, const void* weight, void* y, float* rstd, int64_t rows, int64_t D,
                 float eps, cudaStream_t stream) {
  constexpr int N = kPackSize<T>;
  const auto* in = static_cast<const T*>(x);
  const auto* w = static_cast<const W*>(weight);
  auto* out = static_cast<T*>(y);
  const auto blocks = static_cast<unsigned>(rows);
  if (D % N == 0 && is_aligned(in) && is_aligned(w) && is_aligned(out)) {
    launch(rms_norm_rows<T, W, N>, blocks, threads_for(D / N), stream, in, w, out, rstd, D, eps);
  } else {
    launch(rms_norm_rows<T, W, 1>, blocks, threads_for(D), stream, in, w, out, rstd, D, eps);
  }
}

template <class T, class W>
void rms_norm_backward_of(const void* dy, const void* x, const void* weight, const float* rstd,
                          void* dx, int64_t rows, int64_t D, cudaStream_t stream) {
  constexpr int N = kPackSize<T>;
  const auto *grad = static_cast<const T*>(dy), *in = static_cast<const T*>(x);
  const auto* w = static_cast<const W*>(weight);
  auto* out = static_cast<T*>(dx);
  const auto blocks = static_cast<unsigned>(rows);
  if (D % N == 0 && is_aligned(grad) && is_aligned(in) && is_aligned(w) && is_aligned(out)) {
    launch(rms_norm_backward_rows<T, W, N>, blocks, threads_for(D / N), stream, grad, in, w, rstd,
           out, D);
  } else {
    launch(rms_norm_backward_rows<T, W, 1>, blocks, threads_for(D), stream, grad, in, w, rstd, out,
           D);
  }
}

// Calls run with values of the two types: run(T{}, W{}).
template <class Run>
void with_types(Dtype dtype, Dtype weight_dtype, const Run& run) {
  const bool is_float_weight = weight_dtype == Dtype::kFloat;
  switch (dtype) {
    case Dtype::kFloat:
      return run(float{}, float{});
    case Dtype::kHalf:
      return is_float_weight ? run(__half{}, float{}) : run(__half{}, __half{});
    case Dtype::kBfloat16:
      return is_float_weight ? run(__nv_bfloat16{}, float{})
                             : run(__nv_bfloat16{}, __nv_bfloat16{});
  }
}

}  // namespace

void launch_rms_norm(Dtype dtype, Dtype weight_dtype, const void* x, const void* weight, void* y,
                     float* rstd, int64_t T, int64_t D, float eps, cudaStream_t stream) {
  if (T == 0 || D == 0) return;
  with_types(dtype, weight_dtype, [&](auto value, auto weight_value) {
    rms_norm_of<decltype(value), decltype(weight_value)>(x, weight, y, rstd, T, D, eps, stream);
  });
}

void launch_rms_norm_backward(Dtype dtype, Dtype weight_dtype, const void* dy, const void* x,
                              const void* weight, const float* rstd, void* dx, int64_t T, int64_t D,
                              cudaStream_t stream) {
  if (T == 0 || D == 0) return;
  with_types(dtype, weight_dtype, [&](auto value, auto weight_value) {
    rms_norm_backward_of<decltype(value), decltype(weight_value)>(dy, x, weight, rstd, dx, T, D,
                                                                  stream);
  });
}

}  // namespace finer::cuda
