#include "finer/core/mask_hash.h"
#include "finer/cuda/launch.h"
#include "finer/cuda/values.cuh"

namespace finer::cuda {

namespace {

// One block a row.
template <class T, int N>
__global__ void drop_rows(const T* x, T* out, int64_t D, uint64_t key, int32_t kept_below,
                          float scale) {
  const T* row = x + blockIdx.x * D;
  T* y = out + blockIdx.x * D;
  const uint64_t of_row = mask_row_key(key, blockIdx.x);
  const auto low = static_cast<uint32_t>(of_row), high = static_cast<uint32_t>(of_row >> 32);
  for (int64_t d = threadIdx.x * N; d < D; d += static_cast<int64_t>(blockDim.x) * N) {
    const auto a = load<T, N>(row + d);
    Pack<T, N> b;
#pragma unroll
    for (int n = 0; n < N; ++n) {
      const auto drawn = static_cast<int32_t>(mask_bits(static_cast<uint32_t>(d) + n, low, high));
      b.v[n] = from_float<T>(to_float(a.v[n]) * (drawn < kept_below ? scale : 0.0F));
    }
    store(y + d, b);
  }
}

template <class T>
void drop_of(const void* x, void* out, int64_t rows, int64_t D, uint64_t key, int32_t kept_below,
             float scale, cudaStream_t stream) {
  constexpr int N = kPackSize<T>;
  const auto* in = static_cast<const T*>(x);
  auto* y = static_cast<T*>(out);
  const auto blocks = static_cast<unsigned>(rows);
  const float factor = rounded<T>(scale);
  if (D % N == 0 && is_aligned(in) && is_aligned(y)) {
    launch(drop_rows<T, N>, blocks, threads_for(D / N), stream, in, y, D, key, kept_below, factor);
  } else {
    launch(drop_rows<T, 1>, blocks, threads_for(D), stream, in, y, D, key, kept_below, factor);
  }
}

}  // namespace

void launch_drop(Dtype dtype, const void* x, void* out, int64_t T, int64_t D, uint64_t key,
                 int32_t kept_below, float scale, cudaStream_t stream) {
  if (T == 0 || D == 0) return;
  switch (dtype) {
    case Dtype::kFloat:
      return drop_of<float>(x, out, T, D, key, kept_below, scale, stream);
    case Dtype::kHalf:
      return drop_of<__half>(x, out, T, D, key, kept_below, scale, stream);
    case Dtype::kBfloat16:
      return drop_of<__nv_bfloat16>(x, out, T, D, key, kept_below, scale, stream);
  }
}

}  // namespace finer::cuda
