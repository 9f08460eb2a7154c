#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

namespace finer::cuda {

/// N values of T that are read or written at once; at most 16 bytes an instruction.
template <class T, int N>
struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Pack {
  T v[N];
};

template <class T, int N>
__device__ inline Pack<T, N> load(const T* from) {
  return *reinterpret_cast<const Pack<T, N>*>(from);
}
template <class T, int N>
__device__ inline void store(T* to, const Pack<T, N>& pack) {
  *reinterpret_cast<Pack<T, N>*>(to) = pack;
}

__host__ __device__ inline float to_float(float x) { return x; }
__host__ __device__ inline float to_float(__half x) { return __half2float(x); }
__host__ __device__ inline float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }

template <class T>
__host__ __device__ inline T from_float(float x);
template <>
__host__ __device__ inline float from_float<float>(float x) {
  return x;
}
template <>
__host__ __device__ inline __half from_float<__half>(float x) {
  return __float2half_rn(x);
}
template <>
__host__ __device__ inline __nv_bfloat16 from_float<__nv_bfloat16>(float x) {
  return __float2bfloat16_rn(x);
}

/// x as a value of T holds it: where the ATen twin writes an intermediate, it rounds.
template <class T>
__host__ __device__ inline float rounded(float x) {
  return to_float(from_float<T>(x));
}

/// Sum over the warp, given to every lane; the same input gives the same bits.
__device__ inline float warp_sum(float x) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffU, x, step);
  return x;
}

/// Values in 16 bytes.
template <class T>
constexpr int kPackSize = 16 / static_cast<int>(sizeof(T));

inline bool is_aligned(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0;
}

#ifdef __CUDACC__
/// Queues a kernel. (tests/cuda/host_grid.h has another, which runs it on the CPU.)
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), unsigned blocks, int threads, cudaStream_t stream,
            Arguments... arguments) {
  kernel<<<blocks, threads, 0, stream>>>(arguments...);
}
#endif

/// Threads for a row of `work` packs: whole warps, at most 512.
inline int threads_for(int64_t work) {
  const int64_t warps = (work + 31) / 32;
  return static_cast<int>(warps < 1 ? 32 : warps > 16 ? 512 : warps * 32);
}

}  // namespace finer::cuda
