#include "finer/cuda/launch.h"
#include "finer/cuda/values.cuh"

namespace finer::cuda {

namespace {

// One block a row (token); a thread turns N pairs of one head at a time. Reads both halves before
// it writes either.
template <class T, int N>
__global__ void rotate_rows(T* x, const float* cos, const float* sin, int heads, int half,
                            int64_t stride, float sign) {
  T* row = x + blockIdx.x * stride;
  const float* cos_row = cos + static_cast<int64_t>(blockIdx.x) * half;
  const float* sin_row = sin + static_cast<int64_t>(blockIdx.x) * half;
  const int packs_a_head = half / N;
  for (int p = static_cast<int>(threadIdx.x); p < heads * packs_a_head;
       p += static_cast<int>(blockDim.x)) {
    const int head = p / packs_a_head, i = p % packs_a_head * N;
    T* low_at = row + static_cast<int64_t>(head) * 2 * half + i;
    T* high_at = low_at + half;
    const auto low = load<T, N>(low_at), high = load<T, N>(high_at);
    const auto c = load<float, N>(cos_row + i), s = load<float, N>(sin_row + i);
    Pack<T, N> new_low, new_high;
#pragma unroll
    for (int n = 0; n < N; ++n) {
      const float a = to_float(low.v[n]), b = to_float(high.v[n]), turn = sign * s.v[n];
      new_low.v[n] = from_float<T>(a * c.v[n] - b * turn);
      new_high.v[n] = from_float<T>(b * c.v[n] + a * turn);
    }
    store(low_at, new_low);
    store(high_at, new_high);
  }
}

template <class T>
void rotate_of(void* x, const float* cos, const float* sin, int64_t rows, int64_t heads,
               int64_t half, int64_t stride, float sign, cudaStream_t stream) {
  constexpr int N = kPackSize<T>;
  auto* data = static_cast<T*>(x);
  const auto blocks = static_cast<unsigned>(rows);
  const int H = static_cast<int>(heads), C2 = static_cast<int>(half);
  if (half % N == 0 && stride % N == 0 && is_aligned(data) && is_aligned(cos) && is_aligned(sin)) {
    launch(rotate_rows<T, N>, blocks, threads_for(heads * half / N), stream, data, cos, sin, H, C2,
           stride, sign);
  } else {
    launch(rotate_rows<T, 1>, blocks, threads_for(heads * half), stream, data, cos, sin, H, C2,
           stride, sign);
  }
}

}  // namespace

void launch_rotary(Dtype dtype, void* x, const float* cos, const float* sin, int64_t T,
                   int64_t heads, int64_t half, int64_t stride, float sign, cudaStream_t stream) {
  if (T == 0 || heads == 0 || half == 0) return;
  switch (dtype) {
    case Dtype::kFloat:
      return rotate_of<float>(x, cos, sin, T, heads, half, stride, sign, stream);
    case Dtype::kHalf:
      return rotate_of<__half>(x, cos, sin, T, heads, half, stride, sign, stream);
    case Dtype::kBfloat16:
      return rotate_of<__nv_bfloat16>(x, cos, sin, T, heads, half, stride, sign, stream);
  }
}

}  // namespace finer::cuda
