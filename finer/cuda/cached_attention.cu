#include "finer/cuda/launch.h"
#include "finer/cuda/values.cuh"

namespace finer::cuda {

namespace {

constexpr int kQueries = static_cast<int>(kCachedQueries);  // that share the reading of a key
constexpr int kWarps = 4;  // each takes every fourth block of 32 keys
constexpr float kHidden = -1e30F;

__device__ float warp_max(float x) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffU, x, step));
  return x;
}

// Softmax of the block's queries as far as this warp has come; `acc` has columns lane * kColumns..
template <int kColumns>
struct Running {
  float greatest[kQueries], sum[kQueries];
  float acc[kQueries][kColumns];
};

// Goes on over `count` keys; of queries first..last, query q sees the first limits[q] of them.
template <class T, int kColumns>
__device__ void go_on(const T* keys, const T* values, const int32_t* slots, int count,
                      const float* queries, float* weights, const int* limits, int first, int last,
                      Running<kColumns>& run) {
  constexpr int C = 32 * kColumns, N = kPackSize<T>;
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  float* own = weights + warp * 32 * kQueries;  // [32, kQueries]
  for (int begin = warp * 32; begin < count; begin += kWarps * 32) {
    const int n = count - begin < 32 ? count - begin : 32, at = lane < n ? begin + lane : begin;
    const T* key = keys + static_cast<int64_t>(slots[at]) * C;
    float scores[kQueries] = {};
#pragma unroll 4
    for (int c = 0; c < C; c += N) {
      const auto k = load<T, N>(key + c);
#pragma unroll
      for (int q = 0; q < kQueries; ++q) {
        if (q < first || q >= last) continue;
#pragma unroll
        for (int i = 0; i < N; ++i) scores[q] += queries[q * C + c + i] * to_float(k.v[i]);
      }
    }
#pragma unroll
    for (int q = 0; q < kQueries; ++q) {
      if (q < first || q >= last) continue;
      const bool is_seen = lane < n && begin + lane < limits[q];
      const float score = is_seen ? scores[q] : kHidden;
      const float greatest = fmaxf(run.greatest[q], warp_max(score));
      const float weight = is_seen ? expf(score - greatest) : 0.0F;
      const float shrink = expf(run.greatest[q] - greatest);
      run.sum[q] = run.sum[q] * shrink + warp_sum(weight);
      run.greatest[q] = greatest;
#pragma unroll
      for (int i = 0; i < kColumns; ++i) run.acc[q][i] *= shrink;
      own[lane * kQueries + q] = weight;
    }
    __syncwarp();
    for (int j = 0; j < n; ++j) {
      const auto v =
          load<T, kColumns>(values + static_cast<int64_t>(slots[begin + j]) * C + lane * kColumns);
#pragma unroll
      for (int q = 0; q < kQueries; ++q) {
        if (q < first || q >= last) continue;
        const float weight = own[j * kQueries + q];
#pragma unroll
        for (int i = 0; i < kColumns; ++i) run.acc[q][i] += weight * to_float(v.v[i]);
      }
    }
    __syncwarp();
  }
}

// One block: the queries of one key head in a tile of rows. The shared list first, then the own
// ones: one for all rows of the tile where they begin at the same place, else row by row.
template <class T, int kColumns>
__global__ void cached_attention(const T* qkv, int64_t stride, const T* keys, const T* values,
                                 const int32_t* slots, const CachedTile* tiles,
                                 const int32_t* own_lists, T* out, int num_tiles, int G, int H,
                                 int64_t num_slots, float scale) {
  constexpr int C = 32 * kColumns;
  alignas(16) __shared__ float queries[kQueries * C];
  alignas(16) __shared__ float weights[kWarps * 32 * kQueries];
  alignas(16) __shared__ float parts[kWarps * kQueries * C];
  __shared__ float part_greatest[kWarps * kQueries], part_sum[kWarps * kQueries];
  __shared__ int limits[2 * kQueries];  // of the shared list, of the own one
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
  const int k = static_cast<int>(blockIdx.x) / num_tiles;
  const CachedTile tile = tiles[static_cast<int>(blockIdx.x) % num_tiles];
  const int num_queries = tile.num_rows * G;
  for (int i = thread; i < kQueries * C; i += kWarps * 32) {
    const int q = i / C, c = i % C;
    queries[i] =
        q < num_queries
            ? scale * to_float(qkv[(tile.first_row + q / G) * stride + (k * G + q % G) * C + c])
            : 0.0F;
  }
  if (thread < kQueries) {
    const int row = tile.first_row + (thread < num_queries ? thread / G : 0);
    limits[thread] = tile.shared_count;
    limits[kQueries + thread] = own_lists[2 * row + 1];
  }
  __syncthreads();
  Running<kColumns> run;
#pragma unroll
  for (int q = 0; q < kQueries; ++q) {
    run.greatest[q] = kHidden;
    run.sum[q] = 0.0F;
#pragma unroll
    for (int i = 0; i < kColumns; ++i) run.acc[q][i] = 0.0F;
  }
  const T *head_keys = keys + k * num_slots * C, *head_values = values + k * num_slots * C;
  go_on<T, kColumns>(head_keys, head_values, slots + tile.shared_begin, tile.shared_count, queries,
                     weights, limits, 0, num_queries, run);
  const int* own_limits = limits + kQueries;
  if (tile.has_common_list) {
    int longest = 0;
    for (int q = 0; q < num_queries; ++q)
      longest = own_limits[q] > longest ? own_limits[q] : longest;
    go_on<T, kColumns>(head_keys, head_values, slots + own_lists[2 * tile.first_row], longest,
                       queries, weights, own_limits, 0, num_queries, run);
  } else {
    for (int r = 0; r < tile.num_rows; ++r) {
      const int32_t* own = own_lists + 2 * (tile.first_row + r);
      go_on<T, kColumns>(head_keys, head_values, slots + own[0], own[1], queries, weights,
                         own_limits, r * G, r * G + G, run);
    }
  }
#pragma unroll
  for (int q = 0; q < kQueries; ++q) {
    if (lane == 0) {
      part_greatest[warp * kQueries + q] = run.greatest[q];
      part_sum[warp * kQueries + q] = run.sum[q];
    }
#pragma unroll
    for (int i = 0; i < kColumns; ++i)
      parts[(warp * kQueries + q) * C + lane * kColumns + i] = run.acc[q][i];
  }
  __syncthreads();
  for (int i = thread; i < num_queries * C; i += kWarps * 32) {
    const int q = i / C, c = i % C;
    float greatest = kHidden, sum = 0.0F, value = 0.0F;
    for (int w = 0; w < kWarps; ++w) greatest = fmaxf(greatest, part_greatest[w * kQueries + q]);
    for (int w = 0; w < kWarps; ++w) {
      const float share = expf(part_greatest[w * kQueries + q] - greatest);
      sum += share * part_sum[w * kQueries + q];
      value += share * parts[(w * kQueries + q) * C + c];
    }
    out[(static_cast<int64_t>(tile.first_row + q / G) * H + k * G + q % G) * C + c] =
        from_float<T>(value / sum);
  }
}

// Keys and values of each row into its slot: one block a row.
template <class T>
__global__ void store_rows(const T* qkv, int64_t stride, const int64_t* writes_to, T* keys,
                           T* values, int H, int K, int C, int64_t num_slots) {
  const T* row = qkv + blockIdx.x * stride + static_cast<int64_t>(H) * C;
  const int64_t slot = writes_to[blockIdx.x];
  for (int i = static_cast<int>(threadIdx.x); i < K * C; i += static_cast<int>(blockDim.x)) {
    const int64_t to = (i / C * num_slots + slot) * C + i % C;
    keys[to] = row[i];
    values[to] = row[K * C + i];
  }
}

template <class T, int kColumns>
void attend(const CachedArgs& a, cudaStream_t stream) {
  launch(cached_attention<T, kColumns>, static_cast<unsigned>(a.num_tiles * a.K), kWarps * 32,
         stream, static_cast<const T*>(a.qkv), a.stride, static_cast<const T*>(a.keys),
         static_cast<const T*>(a.values), a.slots, a.tiles, a.own_lists, static_cast<T*>(a.out),
         static_cast<int>(a.num_tiles), static_cast<int>(a.H / a.K), static_cast<int>(a.H),
         a.num_slots, a.scale);
}

template <class T>
void attend_and_store(const CachedArgs& a, cudaStream_t stream) {
  launch(store_rows<T>, static_cast<unsigned>(a.num_rows), threads_for(a.K * a.C), stream,
         static_cast<const T*>(a.qkv), a.stride, a.writes_to, static_cast<T*>(a.keys),
         static_cast<T*>(a.values), static_cast<int>(a.H), static_cast<int>(a.K),
         static_cast<int>(a.C), a.num_slots);
  switch (a.C) {
    case 32:
      return attend<T, 1>(a, stream);
    case 64:
      return attend<T, 2>(a, stream);
    case 128:
      return attend<T, 4>(a, stream);
  }
}

}  // namespace

void launch_cached_attention(Dtype dtype, const CachedArgs& args, cudaStream_t stream) {
  if (args.num_rows == 0) return;
  switch (dtype) {
    case Dtype::kFloat:
      return attend_and_store<float>(args, stream);
    case Dtype::kHalf:
      return attend_and_store<__half>(args, stream);
    case Dtype::kBfloat16:
      return attend_and_store<__nv_bfloat16>(args, stream);
  }
}

}  // namespace finer::cuda
