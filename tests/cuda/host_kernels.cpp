// The kernels, run on the CPU, against formulas in double.
#include "host_grid.h"
// After the grid, which they need:
#include "finer/cuda/cached_attention.cu"
#include "finer/cuda/dropout.cu"
#include "finer/cuda/rms_norm.cu"
#include "finer/cuda/rotary.cu"
#include "finer/cuda/swiglu.cu"

#include <catch2/catch.hpp>

#include <algorithm>
#include <limits>
#include <random>

namespace finer::cuda {

namespace {

template <class T>
constexpr Dtype kDtypeOf = std::is_same_v<T, float>    ? Dtype::kFloat
                           : std::is_same_v<T, __half> ? Dtype::kHalf
                                                       : Dtype::kBfloat16;

// What one or two roundings may cost, relative to 1 + |value|.
template <class T>
constexpr double kRoundings = std::is_same_v<T, float>    ? 1e-6
                              : std::is_same_v<T, __half> ? 1.2e-3
                                                          : 1e-2;

// `size` values at 16 bytes: normal ones, or NaN where a kernel has to write.
template <class T>
class Values {
 public:
  static Values normal(int64_t size, unsigned seed) {
    std::mt19937 generator(seed);
    std::normal_distribution<float> draw;
    Values values(size);
    for (int64_t i = 0; i < size; ++i) values.data()[i] = from_float<T>(draw(generator));
    return values;
  }
  static Values unwritten(int64_t size) {
    Values values(size);
    std::fill(values.data(), values.data() + size,
              from_float<T>(std::numeric_limits<float>::quiet_NaN()));
    return values;
  }
  T* data() { return reinterpret_cast<T*>(packs_.data()); }
  double operator[](int64_t i) const {
    return to_float(reinterpret_cast<const T*>(packs_.data())[i]);
  }

 private:
  explicit Values(int64_t size) : packs_((size * sizeof(T) + 15) / 16) {}
  struct alignas(16) Bytes16 {
    char bytes[16];
  };
  std::vector<Bytes16> packs_;
};

// Largest difference so far, relative to 1 + |expected|; infinite once something is not finite.
struct Worst {
  double value = 0;
  void add(double found, double expected) {
    const double off = std::abs(found - expected) / (1 + std::abs(expected));
    value = off <= value         ? value
            : std::isfinite(off) ? off
                                 : std::numeric_limits<double>::infinity();
  }
};

}  // namespace

TEMPLATE_TEST_CASE("swiglu's kernels follow the formula, whole packs and odd rows", "[cuda]", float,
                   __half, __nv_bfloat16) {
  using T = TestType;
  constexpr int64_t kRows = 3;
  for (const int64_t F : {8, 13, 40, 1000}) {
    for (const int64_t gap : {0, 1, 8}) {
      INFO("F " << F << " gap " << gap);
      const int64_t stride = 2 * F + gap;
      auto x = Values<T>::normal(kRows * stride, 1), dh = Values<T>::normal(kRows * F, 2);
      auto h = Values<T>::unwritten(kRows * F), dx = Values<T>::unwritten(kRows * 2 * F);
      launch_swiglu(kDtypeOf<T>, x.data(), h.data(), kRows, F, stride, nullptr);
      launch_swiglu_backward(kDtypeOf<T>, dh.data(), x.data(), dx.data(), kRows, F, stride,
                             nullptr);
      Worst worst;
      for (int64_t t = 0; t < kRows; ++t) {
        for (int64_t i = 0; i < F; ++i) {
          const double gate = x[t * stride + i], up = x[t * stride + F + i], d = dh[t * F + i];
          const double s = 1 / (1 + std::exp(-gate));
          worst.add(h[t * F + i], gate * s * up);
          worst.add(dx[t * 2 * F + i], d * up * s * (1 + gate * (1 - s)));
          worst.add(dx[t * 2 * F + F + i], d * gate * s);
        }
      }
      CHECK(worst.value < kRoundings<T>);
    }
  }
}

TEMPLATE_TEST_CASE("RMSNorm's kernels follow the formula, one warp and many", "[cuda]", float,
                   __half, __nv_bfloat16) {
  using T = TestType;
  constexpr int64_t kRows = 3;
  for (const int64_t D : {8, 100, 101, 264, 5000}) {
    for (const bool is_float_weight : {false, true}) {
      INFO("D " << D << " float weight " << is_float_weight);
      auto x = Values<T>::normal(kRows * D, 3), dy = Values<T>::normal(kRows * D, 4),
           w = Values<T>::normal(D, 5);
      auto w_float = Values<float>::normal(D, 6), rstd = Values<float>::unwritten(kRows);
      auto y = Values<T>::unwritten(kRows * D), dx = Values<T>::unwritten(kRows * D);
      const void* weight = is_float_weight ? static_cast<const void*>(w_float.data()) : w.data();
      const auto dtype = kDtypeOf<T>, weight_dtype = is_float_weight ? Dtype::kFloat : dtype;
      launch_rms_norm(dtype, weight_dtype, x.data(), weight, y.data(), rstd.data(), kRows, D, 1e-5F,
                      nullptr);
      launch_rms_norm_backward(dtype, weight_dtype, dy.data(), x.data(), weight, rstd.data(),
                               dx.data(), kRows, D, nullptr);
      Worst worst, worst_rstd;
      const auto weight_at = [&](int64_t d) { return is_float_weight ? w_float[d] : w[d]; };
      for (int64_t t = 0; t < kRows; ++t) {
        double squares = 0, dot = 0;
        for (int64_t d = 0; d < D; ++d) {
          squares += x[t * D + d] * x[t * D + d];
          dot += dy[t * D + d] * weight_at(d) * x[t * D + d];
        }
        const double r = 1 / std::sqrt(squares / static_cast<double>(D) + 1e-5);
        worst_rstd.add(rstd[t], r);
        for (int64_t d = 0; d < D; ++d) {
          worst.add(y[t * D + d], x[t * D + d] * r * weight_at(d));
          worst.add(dx[t * D + d], dy[t * D + d] * weight_at(d) * r -
                                       x[t * D + d] * dot / static_cast<double>(D) * r * r * r);
        }
      }
      CHECK(worst_rstd.value < 1e-6);
      CHECK(worst.value < kRoundings<T>);
    }
  }
}

TEMPLATE_TEST_CASE("the rotary kernel turns the leading heads and leaves the rest", "[cuda]", float,
                   __half, __nv_bfloat16) {
  using T = TestType;
  constexpr int64_t kRows = 3, kHeads = 5, kRest = 2;
  for (const int64_t half : {3, 8, 64}) {
    for (const float sign : {1.0F, -1.0F}) {
      INFO("half " << half << " sign " << sign);
      const int64_t stride = (kHeads + kRest) * 2 * half;
      auto before = Values<T>::normal(kRows * stride, 7), x = Values<T>::normal(kRows * stride, 7);
      auto cos = Values<float>::normal(kRows * half, 8),
           sin = Values<float>::normal(kRows * half, 9);
      launch_rotary(kDtypeOf<T>, x.data(), cos.data(), sin.data(), kRows, kHeads, half, stride,
                    sign, nullptr);
      Worst turned;
      bool is_rest_same = true;
      for (int64_t t = 0; t < kRows; ++t) {
        for (int64_t head = 0; head < kHeads + kRest; ++head) {
          for (int64_t i = 0; i < half; ++i) {
            const int64_t low = t * stride + head * 2 * half + i, high = low + half;
            if (head >= kHeads) {
              is_rest_same = is_rest_same && x[low] == before[low] && x[high] == before[high];
              continue;
            }
            const double c = cos[t * half + i], s = sign * sin[t * half + i];
            turned.add(x[low], before[low] * c - before[high] * s);
            turned.add(x[high], before[high] * c + before[low] * s);
          }
        }
      }
      CHECK(turned.value < kRoundings<T>);
      CHECK(is_rest_same);
    }
  }
}

TEMPLATE_TEST_CASE("the dropout kernel keeps what the hash keeps", "[cuda]", float, __half,
                   __nv_bfloat16) {
  using T = TestType;
  constexpr int64_t kRows = 3;
  for (const int64_t D : {7, 64, 1000}) {
    auto x = Values<T>::normal(kRows * D, 10), y = Values<T>::unwritten(kRows * D);
    const double rate = 0.3, scale = to_float(from_float<T>(static_cast<float>(1 / (1 - rate))));
    constexpr uint64_t kKey = 0x9876543210fedcbaULL;
    launch_drop(kDtypeOf<T>, x.data(), y.data(), kRows, D, kKey, mask_kept_below(rate),
                static_cast<float>(1 / (1 - rate)), nullptr);
    Worst worst;
    int64_t kept = 0;
    for (int64_t t = 0; t < kRows; ++t) {
      const uint64_t key = mask_row_key(kKey, t);
      for (int64_t d = 0; d < D; ++d) {
        const auto bits = mask_bits(static_cast<uint32_t>(d), static_cast<uint32_t>(key),
                                    static_cast<uint32_t>(key >> 32));
        const bool is_kept = bits < 0.7 * (1 << 24);
        kept += is_kept;
        worst.add(y[t * D + d], is_kept ? x[t * D + d] * scale : 0.0);
      }
    }
    CHECK(worst.value < kRoundings<T>);
    CHECK((kept > 0 && kept < kRows * D));
  }
}

namespace {

// Rows of three groups: one prompt (a list for all, seen up to the row itself), answers that share
// a beginning (a list each), and one answer alone. Slots lie in no order.
struct CachedCase {
  std::vector<int32_t> slots, own_lists;
  std::vector<CachedTile> tiles;
  std::vector<int64_t> writes_to;
  int64_t num_slots = 211;
  int taken = 0;

  int32_t slot() { return static_cast<int32_t>(taken++ * 97 % num_slots); }
  int32_t list(int count) {
    const auto begin = static_cast<int32_t>(slots.size());
    for (int i = 0; i < count; ++i) slots.push_back(slot());
    return begin;
  }
  void add_group(std::vector<std::pair<int32_t, int32_t>> lists, int32_t shared_begin,
                 int32_t shared_count, bool is_common, int rows_a_tile) {
    for (size_t first = 0; first < lists.size(); first += rows_a_tile) {
      const auto rows = std::min<size_t>(rows_a_tile, lists.size() - first);
      tiles.push_back({static_cast<int32_t>(writes_to.size()), static_cast<int32_t>(rows),
                       shared_begin, shared_count, is_common || rows == 1});
      for (size_t r = first; r < first + rows; ++r) {
        const auto [begin, count] = lists[r];
        own_lists.insert(own_lists.end(), {begin, count});
        writes_to.push_back(slots[begin + count - 1]);
      }
    }
  }
};

}  // namespace

TEMPLATE_TEST_CASE("attention over lists of slots follows the formula", "[cuda]", float, __half,
                   __nv_bfloat16) {
  using T = TestType;
  for (const auto& [H, K, C] : {std::tuple{2, 2, 32}, {4, 2, 64}, {8, 1, 128}}) {
    INFO("H " << H << " K " << K << " C " << C);
    const int G = H / K, rows_a_tile = static_cast<int>(kCachedQueries) / G;
    CachedCase c;
    const auto prompt = c.list(11), shared = c.list(70);
    std::vector<std::pair<int32_t, int32_t>> rows;
    for (int32_t i = 0; i < 11; ++i) rows.emplace_back(prompt, i + 1);
    c.add_group(rows, 0, 0, true, rows_a_tile);
    rows.clear();
    for (const int count : {1, 33, 5}) rows.emplace_back(c.list(count), count);
    c.add_group(rows, shared, 70, false, rows_a_tile);
    c.add_group({{c.list(40), 40}}, 0, 0, true, rows_a_tile);
    const auto num_rows = static_cast<int64_t>(c.writes_to.size());
    const int64_t width = (H + 2 * K) * C, stride = width + 8;
    auto qkv = Values<T>::normal(num_rows * stride, 1),
         out = Values<T>::unwritten(num_rows * H * C);
    auto keys = Values<T>::normal(K * c.num_slots * C, 2),
         values = Values<T>::normal(K * c.num_slots * C, 3);
    launch_cached_attention(
        kDtypeOf<T>,
        {qkv.data(), keys.data(), values.data(), out.data(), c.slots.data(), c.tiles.data(),
         c.own_lists.data(), c.writes_to.data(), num_rows, static_cast<int64_t>(c.tiles.size()),
         stride, H, K, C, c.num_slots, 0.125F},
        nullptr);
    Worst worst;
    bool is_stored = true;
    for (const auto& tile : c.tiles) {
      for (int64_t t = tile.first_row; t < tile.first_row + tile.num_rows; ++t) {
        auto seen = std::vector<int32_t>(c.slots.begin() + tile.shared_begin,
                                         c.slots.begin() + tile.shared_begin + tile.shared_count);
        seen.insert(seen.end(), c.slots.begin() + c.own_lists[2 * t],
                    c.slots.begin() + c.own_lists[2 * t] + c.own_lists[2 * t + 1]);
        for (int h = 0; h < H; ++h) {
          const int64_t head = h / G * c.num_slots;
          std::vector<double> weights;
          double sum = 0;
          for (const auto slot : seen) {
            double dot = 0;
            for (int i = 0; i < C; ++i)
              dot += qkv[t * stride + h * C + i] * keys[(head + slot) * C + i];
            weights.push_back(std::exp(dot * 0.125));
            sum += weights.back();
          }
          for (int i = 0; i < C; ++i) {
            double expected = 0;
            for (size_t j = 0; j < seen.size(); ++j)
              expected += weights[j] / sum * values[(head + seen[j]) * C + i];
            worst.add(out[(t * H + h) * C + i], expected);
          }
        }
        for (int64_t i = 0; i < K * C; ++i) {
          const int64_t at = (i / C * c.num_slots + c.writes_to[t]) * C + i % C;
          is_stored = is_stored && keys[at] == qkv[t * stride + H * C + i] &&
                      values[at] == qkv[t * stride + (H + K) * C + i];
        }
      }
    }
    CHECK(worst.value < kRoundings<T>);
    CHECK(is_stored);
  }
}

}  // namespace finer::cuda
