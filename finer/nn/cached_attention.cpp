#include "finer/nn/cached_attention.h"

#include "finer/core/cached_tile.h"
#include "finer/core/error.h"
#include "finer/nn/cpu_lanes.h"
#include "finer/nn/cpu_rows.h"
#include "finer/nn/rope.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace finer {

namespace {

constexpr int64_t kTile = 4;    // queries that share the reading of a key
constexpr int64_t kBlock = 64;  // keys between two rescalings
constexpr float kHidden = -1e30F;

struct KernelArgs {
  const float* q;  // [T, q_stride]
  int64_t q_stride;
  const float *keys, *values;  // [K, slots, C]
  float* out;                  // [T, H * C]
  const int32_t* slots;
  const int64_t *own_begin, *own_count;
  int64_t H, K, C, num_slots;
  float scale;
};

// A run of rows of one group, whose queries of one key head are worked on together.
struct Tile {
  int64_t first_row, num_rows;
  int64_t shared_begin, shared_count;
};

// Sums of the lanes of four vectors.
FINER_INLINE void sum_lanes(const Lanes& a, const Lanes& b, const Lanes& c, const Lanes& d,
                            float* sums) {
  const Lanes ab = __builtin_shuffle(a, b, IntLanes{0, 8, 2, 10, 4, 12, 6, 14}) +
                   __builtin_shuffle(a, b, IntLanes{1, 9, 3, 11, 5, 13, 7, 15});
  const Lanes cd = __builtin_shuffle(c, d, IntLanes{0, 8, 2, 10, 4, 12, 6, 14}) +
                   __builtin_shuffle(c, d, IntLanes{1, 9, 3, 11, 5, 13, 7, 15});
  const Lanes all = __builtin_shuffle(ab, cd, IntLanes{0, 1, 8, 9, 4, 5, 12, 13}) +
                    __builtin_shuffle(ab, cd, IntLanes{2, 3, 10, 11, 6, 7, 14, 15});
  for (int i = 0; i < 4; ++i) sums[i] = all[i] + all[i + 4];
}

// Softmax of up to four queries, as far as it has come.
struct Running {
  float greatest[kTile], sum[kTile];
  float* acc;  // [4, C], weighted sum of values
};

// Goes on over `count` keys; query r sees the first limits[r] of them. One query: four keys at a
// time; else four queries (some may be there twice).
template <int kQueries>
FINER_INLINE void go_on(const KernelArgs& a, const float* const* q, int64_t head_offset,
                        const int32_t* slots, int64_t count, const int64_t* limits, Running& run) {
  const int64_t C = a.C;
  float weights[kQueries][kBlock];
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t n = std::min(kBlock, count - begin), padded = (n + 7) / 8 * 8;
    const int32_t* block = slots + begin;
    if constexpr (kQueries == 1) {
      for (int64_t j = 0; j < n; j += 4) {
        const float* k[4];
        for (int64_t i = 0; i < 4; ++i)
          k[i] = a.keys + int64_t{block[std::min(j + i, n - 1)]} * C + head_offset;
        Lanes s0{}, s1{}, s2{}, s3{};
        for (int64_t c = 0; c < C; c += 8) {
          const Lanes x = load_lanes(q[0] + c);
          s0 += x * load_lanes(k[0] + c);
          s1 += x * load_lanes(k[1] + c);
          s2 += x * load_lanes(k[2] + c);
          s3 += x * load_lanes(k[3] + c);
        }
        sum_lanes(s0, s1, s2, s3, &weights[0][j]);  // j + 4 <= kBlock
      }
    } else {
      for (int64_t j = 0; j < n; j += 2) {  // two keys at a time: fewer loads a product
        const float* k0 = a.keys + int64_t{block[j]} * C + head_offset;
        const float* k1 = a.keys + int64_t{block[std::min(j + 1, n - 1)]} * C + head_offset;
        Lanes s0{}, s1{}, s2{}, s3{}, t0{}, t1{}, t2{}, t3{};
        for (int64_t c = 0; c < C; c += 8) {
          const Lanes x = load_lanes(k0 + c);
          const Lanes y = load_lanes(k1 + c);
          const Lanes q0 = load_lanes(q[0] + c);
          s0 += x * q0;
          t0 += y * q0;
          const Lanes q1 = load_lanes(q[1] + c);
          s1 += x * q1;
          t1 += y * q1;
          const Lanes q2 = load_lanes(q[2] + c);
          s2 += x * q2;
          t2 += y * q2;
          const Lanes q3 = load_lanes(q[3] + c);
          s3 += x * q3;
          t3 += y * q3;
        }
        float first[4], second[4];
        sum_lanes(s0, s1, s2, s3, first);
        sum_lanes(t0, t1, t2, t3, second);
        for (int r = 0; r < kQueries; ++r) {  // j + 2 <= kBlock
          weights[r][j] = first[r];
          weights[r][j + 1] = second[r];
        }
      }
    }
    for (int r = 0; r < kQueries; ++r) {
      float* w = weights[r];
      const int64_t seen = std::clamp<int64_t>(limits[r] - begin, 0, n);
      float greatest = run.greatest[r];
      for (int64_t j = 0; j < seen; ++j) greatest = std::max(greatest, w[j] *= a.scale);
      for (int64_t j = seen; j < padded; ++j) w[j] = kHidden;
      if (greatest > run.greatest[r]) {
        const float shrink = std::exp(run.greatest[r] - greatest);
        run.sum[r] *= shrink;
        float* acc = run.acc + r * C;
        for (int64_t c = 0; c < C; ++c) acc[c] *= shrink;
        run.greatest[r] = greatest;
      }
      const float total = exp_row(w, padded, greatest);
      // what is hidden has come out as e^-87: nothing beside a sum of at least 1, but not zero
      for (int64_t j = seen; j < padded; ++j) w[j] = 0;
      if (seen > 0) run.sum[r] += total;
    }
    const auto add_values = [&](int64_t c, auto width) __attribute__((always_inline)) {
      constexpr int kWide = decltype(width)::value;
      Lanes acc[kQueries][kWide];
      for (int r = 0; r < kQueries; ++r)
        for (int i = 0; i < kWide; ++i) acc[r][i] = load_lanes(run.acc + r * C + c + 8 * i);
      for (int64_t j = 0; j < n; ++j) {
        const float* v = a.values + int64_t{block[j]} * C + head_offset + c;
        for (int i = 0; i < kWide; ++i) {
          const Lanes x = load_lanes(v + 8 * i);
          for (int r = 0; r < kQueries; ++r) acc[r][i] += x * weights[r][j];
        }
      }
      for (int r = 0; r < kQueries; ++r)
        for (int i = 0; i < kWide; ++i) store_lanes(run.acc + r * C + c + 8 * i, acc[r][i]);
    };
    int64_t c = 0;
    if constexpr (kQueries == 1) {
      for (; c + 64 <= C; c += 64) add_values(c, std::integral_constant<int, 8>());
    }
    for (; c + 16 <= C; c += 16) add_values(c, std::integral_constant<int, 2>());
    for (; c < C; c += 8) add_values(c, std::integral_constant<int, 1>());
  }
}

// Tasks first..last of tiles x key heads, key head by key head.
FINER_CLONES void attend_tasks(const KernelArgs& a, const Tile* tiles, int64_t num_tiles,
                               int64_t first, int64_t last, float* scratch) {
  const int64_t C = a.C, G = a.H / a.K;
  for (int64_t task = first; task < last; ++task) {
    const Tile& tile = tiles[task % num_tiles];
    const int64_t k = task / num_tiles, num_queries = tile.num_rows * G;
    const int64_t head = k * a.num_slots * C;  // where its keys begin
    for (int64_t begin = 0; begin < num_queries; begin += kTile) {
      const int64_t n = std::min(kTile, num_queries - begin);
      const float* q[kTile];
      int64_t rows[kTile], shared_limits[kTile], own_limits[kTile], longest = 0;
      bool has_common_list = true;
      for (int64_t i = 0; i < kTile; ++i) {
        const int64_t query = begin + std::min(i, n - 1);
        rows[i] = tile.first_row + query / G;
        q[i] = a.q + rows[i] * a.q_stride + (k * G + query % G) * C;
        shared_limits[i] = tile.shared_count;
        own_limits[i] = a.own_count[rows[i]];
        longest = std::max(longest, own_limits[i]);
        has_common_list &= a.own_begin[rows[i]] == a.own_begin[rows[0]];
      }
      Running run;
      run.acc = scratch;
      for (int64_t i = 0; i < kTile; ++i) {
        run.greatest[i] = kHidden;
        run.sum[i] = 0;
      }
      for (int64_t c = 0; c < kTile * C; ++c) scratch[c] = 0;
      const int32_t* shared = a.slots + tile.shared_begin;
      if (n == 1) {
        go_on<1>(a, q, head, shared, tile.shared_count, shared_limits, run);
      } else {
        go_on<4>(a, q, head, shared, tile.shared_count, shared_limits, run);
      }
      if (has_common_list && n > 1) {
        go_on<4>(a, q, head, a.slots + a.own_begin[rows[0]], longest, own_limits, run);
      } else {
        for (int64_t i = 0; i < n; ++i) {
          Running one{{run.greatest[i]}, {run.sum[i]}, scratch + i * C};
          go_on<1>(a, q + i, head, a.slots + a.own_begin[rows[i]], own_limits[i], own_limits + i,
                   one);
          run.sum[i] = one.sum[0];
        }
      }
      for (int64_t i = 0; i < n; ++i) {
        float* out = a.out + rows[i] * a.H * C + (k * G + (begin + i) % G) * C;
        const float divisor = 1.0F / run.sum[i];
        for (int64_t c = 0; c < C; ++c) out[c] = scratch[i * C + c] * divisor;
      }
    }
  }
}

at::Tensor attend_kernel(const at::Tensor& qkv_TX, const CachedView& view, const KvLayer& layer,
                         const AttentionConfig& config) {
  const int64_t H = config.num_heads, K = config.num_kv_heads, C = config.head_size;
  auto out_TX = at::empty({view.num_rows(), H * C}, qkv_TX.options());
  std::vector<Tile> tiles;
  const int64_t rows_a_tile = std::max<int64_t>(1, kTile / (H / K));
  for (const auto& group : view.groups) {
    for (int64_t r = 0; r < group.num_rows; r += rows_a_tile) {
      tiles.push_back({group.first_row + r, std::min(rows_a_tile, group.num_rows - r),
                       group.shared_begin, group.shared_count});
    }
  }
  const KernelArgs args{qkv_TX.const_data_ptr<float>(),
                        qkv_TX.stride(0),
                        layer.keys.const_data_ptr<float>(),
                        layer.values.const_data_ptr<float>(),
                        out_TX.data_ptr<float>(),
                        view.slots.data(),
                        view.own_begin.data(),
                        view.own_count.data(),
                        H,
                        K,
                        C,
                        layer.keys.size(1),
                        static_cast<float>(1.0 / std::sqrt(static_cast<double>(C)))};
  const auto num_tiles = static_cast<int64_t>(tiles.size());
  at::parallel_for(0, num_tiles * K, 1, [&](int64_t first, int64_t last) {
    std::vector<float> scratch(static_cast<size_t>(kTile * C));
    attend_tasks(args, tiles.data(), num_tiles, first, last, scratch.data());
  });
  return out_TX;
}

// Keys and values of each row into its slot, rows shared out over threads.
void store_rows(const at::Tensor& qkv_TX, const CachedView& view, KvLayer& layer,
                const AttentionConfig& config) {
  const int64_t H = config.num_heads, K = config.num_kv_heads, C = config.head_size;
  const int64_t stride = qkv_TX.stride(0), num_slots = layer.keys.size(1);
  const float* rows = qkv_TX.const_data_ptr<float>();
  float *keys = layer.keys.data_ptr<float>(), *values = layer.values.data_ptr<float>();
  at::parallel_for(0, view.num_rows(), rows_a_task(2 * K * C), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const float *key = rows + t * stride + H * C, *value = key + K * C;
      const int64_t slot = view.writes_to[static_cast<size_t>(t)];
      for (int64_t k = 0; k < K; ++k) {
        std::copy_n(key + k * C, C, keys + (k * num_slots + slot) * C);
        std::copy_n(value + k * C, C, values + (k * num_slots + slot) * C);
      }
    }
  });
}

void rotate(const at::Tensor& qkv_TX, const RopeRows& rope, const CachedView& view,
            const AttentionConfig& config) {
  const int64_t H = config.num_heads, K = config.num_kv_heads, C = config.head_size;
  FINER_CHECK(qkv_TX.size(1) == (H + 2 * K) * C && qkv_TX.size(0) == view.num_rows(),
              "qkv holds H + 2K heads of every row");
  rotate_heads_(qkv_TX, H + K, rope.cos, rope.sin, +1);
}

void store_rows_plain(const at::Tensor& qkv_TX, const CachedView& view, KvLayer& layer,
                      const AttentionConfig& config) {
  const int64_t H = config.num_heads, K = config.num_kv_heads, C = config.head_size;
  const auto heads = [&](int64_t first) {  // [K, T, C]
    return qkv_TX.narrow(1, first * C, K * C).view({view.num_rows(), K, C}).transpose(0, 1);
  };
  layer.keys.index_copy_(1, view.writes_to_T, heads(H));
  layer.values.index_copy_(1, view.writes_to_T, heads(H + K));
}

at::Tensor slots_tensor(const int32_t* slots, int64_t count, at::Device device) {
  return at::tensor(at::ArrayRef<int32_t>(slots, static_cast<size_t>(count))).to(device);
}

// One upload for the three lists of int32.
cuda_ops::CachedLists device_lists(const CachedView& view, at::Device device, int64_t heads_a_key) {
  const auto rows_a_tile = std::max<int64_t>(1, kCachedQueries / heads_a_key);
  std::vector<CachedTile> tiles;
  std::vector<int32_t> own_lists;
  const auto narrow = [](int64_t value) { return static_cast<int32_t>(value); };
  for (const auto& group : view.groups) {
    for (int64_t r = 0; r < group.num_rows; r += rows_a_tile) {
      const int64_t rows = std::min(rows_a_tile, group.num_rows - r), first = group.first_row + r;
      const auto begins = view.own_begin.begin() + first;
      const bool has_common_list =
          std::all_of(begins, begins + rows, [&](int64_t begin) { return begin == *begins; });
      tiles.push_back({narrow(first), narrow(rows), narrow(group.shared_begin),
                       narrow(group.shared_count), has_common_list});
    }
  }
  for (size_t t = 0; t < view.own_begin.size(); ++t)
    own_lists.insert(own_lists.end(), {narrow(view.own_begin[t]), narrow(view.own_count[t])});
  auto all = view.slots;
  constexpr size_t kTileSize = sizeof(CachedTile) / sizeof(int32_t);
  const size_t num_slots = all.size();
  all.resize(num_slots + tiles.size() * kTileSize);
  std::memcpy(all.data() + num_slots, tiles.data(), tiles.size() * sizeof(CachedTile));
  all.insert(all.end(), own_lists.begin(), own_lists.end());
  const auto parts = at::tensor(all).to(device).split_with_sizes(
      {static_cast<int64_t>(num_slots), static_cast<int64_t>(tiles.size() * kTileSize),
       static_cast<int64_t>(own_lists.size())});
  return {parts[0], parts[1], parts[2], view.writes_to_T};
}

}  // namespace

void CachedView::make_tensors(at::Device device, bool has_kernel, int64_t heads_a_key) {
  const auto T = static_cast<size_t>(num_rows());
  FINER_CHECK(own_begin.size() == T && own_count.size() == T && writes_to.size() == T,
              "every row has a list and a slot");
  positions_T = at::tensor(positions, at::kLong).to(device);
  writes_to_T = at::tensor(writes_to, at::kLong).to(device);
  max_position = *std::max_element(positions.begin(), positions.end());
  if (has_kernel) {
    if (!device.is_cpu()) lists = device_lists(*this, device, heads_a_key);
    return;
  }
  for (auto& group : groups) {
    group.shared_slots =
        slots_tensor(slots.data() + group.shared_begin, group.shared_count, device);
    const auto first = static_cast<size_t>(group.first_row);
    const auto last = first + static_cast<size_t>(group.num_rows);
    const int64_t longest = *std::max_element(own_count.begin() + group.first_row,
                                              own_count.begin() + group.first_row + group.num_rows);
    const bool has_common_list = std::all_of(
        own_begin.begin() + group.first_row, own_begin.begin() + group.first_row + group.num_rows,
        [&](int64_t begin) { return begin == own_begin[first]; });
    auto hidden = at::zeros({group.num_rows, longest}, at::kBool);
    auto lists = at::zeros({group.num_rows, longest}, at::kInt);
    bool* is_hidden_here = hidden.data_ptr<bool>();
    auto* list = lists.data_ptr<int32_t>();
    for (size_t r = first; r < last; ++r) {
      for (int64_t j = 0; j < longest; ++j, ++is_hidden_here, ++list) {
        *is_hidden_here = j >= own_count[r];
        *list = slots[static_cast<size_t>(own_begin[r] + std::min(j, own_count[r] - 1))];
      }
    }
    group.is_hidden = hidden.to(device);
    group.own_slots = has_common_list
                          ? slots_tensor(slots.data() + own_begin[first], longest, device)
                          : lists.to(device);
  }
}

bool has_cached_kernel(const at::TensorOptions& options, const AttentionConfig& config) {
  const int64_t C = config.head_size, G = config.num_heads / config.num_kv_heads;
  if (options.device().is_cpu()) return options.dtype() == at::kFloat && C % 8 == 0;
  return options.device().is_cuda() && has_cuda_kernels() && takes_cached(C, G);
}

at::Tensor attend_cached(const at::Tensor& qkv_TX, const RopeRows& rope, const CachedView& view,
                         KvLayer& layer, const AttentionConfig& config) {
  if (!has_cached_kernel(qkv_TX.options(), config))
    return attend_cached_plain(qkv_TX, rope, view, layer, config);
  rotate(qkv_TX, rope, view, config);
  if (!qkv_TX.is_cpu()) {
    FINER_CHECK(view.lists.slots.defined(), "tensors are made for the kernel that reads them");
    return cuda_ops::attend_cached(qkv_TX, layer.keys, layer.values, view.lists, config.num_heads,
                                   1.0 / std::sqrt(static_cast<double>(config.head_size)));
  }
  store_rows(qkv_TX, view, layer, config);
  return attend_kernel(qkv_TX, view, layer, config);
}

at::Tensor attend_cached_plain(const at::Tensor& qkv_TX, const RopeRows& rope,
                               const CachedView& view, KvLayer& layer,
                               const AttentionConfig& config) {
  rotate(qkv_TX, rope, view, config);
  store_rows_plain(qkv_TX, view, layer, config);
  const int64_t H = config.num_heads, K = config.num_kv_heads, C = config.head_size, G = H / K;
  const double scale = 1.0 / std::sqrt(static_cast<double>(C));
  auto out_TX = at::empty({view.num_rows(), H * C}, qkv_TX.options());
  for (const auto& group : view.groups) {
    const int64_t R = group.num_rows, n = group.shared_count, m = group.is_hidden.size(1);
    const bool has_common_list = group.own_slots.dim() == 1;
    const auto q = qkv_TX.narrow(0, group.first_row, R)
                       .narrow(1, 0, H * C)
                       .reshape({R, K, G, C})
                       .transpose(0, 1)
                       .mul(scale)
                       .reshape({K, R * G, C});
    // [K, n, C] of a list of slots
    const auto taken = [&](const at::Tensor& heads, const at::Tensor& slots) {
      return heads.index_select(1, slots);
    };
    // [K, R, m, C] of a list a row
    const auto taken_by_row = [&](const at::Tensor& heads) {
      return heads.index_select(1, group.own_slots.flatten()).view({K, R, m, C});
    };
    auto own =
        has_common_list
            ? at::bmm(q, taken(layer.keys, group.own_slots).transpose(1, 2)).view({K, R, G, m})
            : at::matmul(q.view({K, R, G, C}), taken_by_row(layer.keys).transpose(2, 3));
    own = own.masked_fill(group.is_hidden.view({1, R, 1, m}),
                          -std::numeric_limits<double>::infinity())
              .reshape({K, R * G, m});
    const auto scores =
        n == 0
            ? own
            : at::cat({at::bmm(q, taken(layer.keys, group.shared_slots).transpose(1, 2)), own}, 2);
    const auto weights = scores.softmax(-1, at::kFloat).to(q.scalar_type());
    const auto own_weights = weights.narrow(2, n, m);
    auto out = has_common_list
                   ? at::bmm(own_weights, taken(layer.values, group.own_slots))
                   : at::matmul(own_weights.reshape({K, R, G, m}), taken_by_row(layer.values))
                         .view({K, R * G, C});
    if (n > 0)
      out = out + at::bmm(weights.narrow(2, 0, n), taken(layer.values, group.shared_slots));
    out_TX.narrow(0, group.first_row, R)
        .copy_(out.view({K, R, G, C}).transpose(0, 1).reshape({R, H * C}));
  }
  return out_TX;
}

}  // namespace finer
