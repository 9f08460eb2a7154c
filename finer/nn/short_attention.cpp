#include "finer/nn/short_attention.h"

#include "finer/nn/cpu_lanes.h"
#include "finer/nn/rope.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace finer {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

constexpr int64_t kMaxLength = 256;  // two tables of scores are then half a megabyte
constexpr int64_t kQueries = 4;      // rows of a product that are worked on together
constexpr float kUnseen = -std::numeric_limits<float>::infinity();

// Rows and columns of tables are rounded up, so that no product has a rest.
template <int kLanes>
FINER_INLINE int64_t padded(int64_t length) {
  return (length + kLanes - 1) / kLanes * kLanes;
}

// A matrix whose elements are read one by one: element (m, k) is at[m * row + k * column].
struct Scalars {
  const float* at;
  int64_t row, column;
};

// out[m, n] = sum over k in [first, last) of a(m, k) b[k, n], for four rows m and kWide * kLanes
// columns.
template <int kLanes, int kWide>
FINER_INLINE void multiply_tile(const Scalars& a, const float* b, int64_t b_stride, int64_t first,
                                int64_t last, float* out, int64_t out_stride) {
  using Lanes = typename LanesOf<kLanes>::Floats;
  Lanes sums[kQueries][kWide] = {};
  const float* a0 = a.at + first * a.column;
  const float *a1 = a0 + a.row, *a2 = a1 + a.row, *a3 = a2 + a.row;
  b += first * b_stride;
  for (int64_t k = first; k < last; ++k) {
    for (int i = 0; i < kWide; ++i) {
      const Lanes x = load_lanes<kLanes>(b + kLanes * i);
      sums[0][i] += x * *a0;
      sums[1][i] += x * *a1;
      sums[2][i] += x * *a2;
      sums[3][i] += x * *a3;
    }
    a0 += a.column;
    a1 += a.column;
    a2 += a.column;
    a3 += a.column;
    b += b_stride;
  }
  for (int m = 0; m < kQueries; ++m)
    for (int i = 0; i < kWide; ++i)
      store_lanes<kLanes>(out + m * out_stride + kLanes * i, sums[m][i]);
}

// The same for `columns` columns, a multiple of 8.
template <int kLanes>
FINER_INLINE void multiply_rows(const Scalars& a, const float* b, int64_t b_stride, int64_t first,
                                int64_t last, int64_t columns, float* out, int64_t out_stride) {
  int64_t n = 0;
  for (; n + 2 * kLanes <= columns; n += 2 * kLanes)
    multiply_tile<kLanes, 2>(a, b + n, b_stride, first, last, out + n, out_stride);
  if (n + kLanes <= columns) {
    multiply_tile<kLanes, 1>(a, b + n, b_stride, first, last, out + n, out_stride);
    n += kLanes;
  }
  if (n < columns) multiply_tile<8, 1>(a, b + n, b_stride, first, last, out + n, out_stride);
}

// What one head works with: rows packed side by side, M = padded<kLanes>(L) of them, the last M - L
// zero.
struct Tables {
  float *q, *k, *v, *d_out;  // [M, C]; q times the scale
  float *k_t, *v_t;          // [C, M]
  float *p, *dp;             // [M, M], queries by keys
  float* d;                  // [M, C]
  float* delta;              // [M]
};

FINER_INLINE Tables tables_in(float* scratch, int64_t M, int64_t C) {
  Tables t{};
  for (float** table : {&t.q, &t.k, &t.v, &t.d_out, &t.k_t, &t.v_t, &t.d}) {
    *table = scratch;
    scratch += M * C;
  }
  for (float** table : {&t.p, &t.dp}) {
    *table = scratch;
    scratch += M * M;
  }
  t.delta = scratch;
  return t;
}

FINER_INLINE void take_rows(const float* from, int64_t stride, int64_t L, int64_t M, int64_t C,
                            float scale, float* to) {
  for (int64_t t = 0; t < L; ++t)
    for (int64_t c = 0; c < C; c += 8)
      store_lanes(to + t * C + c, load_lanes(from + t * stride + c) * scale);
  std::fill(to + L * C, to + M * C, 0.0F);
}

FINER_INLINE void transpose(const float* from, int64_t M, int64_t C, float* to) {
  for (int64_t t = 0; t < M; ++t)
    for (int64_t c = 0; c < C; ++c) to[c * M + t] = from[t * C + c];
}

// Keys that the four queries from `begin` on see, at most.
FINER_INLINE int64_t keys_seen(bool is_causal, int64_t begin, int64_t L) {
  return is_causal ? std::min(begin + kQueries, L) : L;
}

// One query head of one sequence; strides are of rows, in floats.
struct Forward {
  const float *q, *k, *v;  // rows of qkv
  int64_t stride, L, C;
  bool is_causal;
  float* out;
  int64_t out_stride;
  float* lse;
  int64_t lse_stride;
  float* scratch;
};

template <int kLanes>
FINER_INLINE void forward_head_by(const Forward& head) {
  const auto [q, k, v, stride, L, C, is_causal, out, out_stride, lse, lse_stride, scratch] = head;
  using Wide = typename LanesOf<kLanes>::Floats;
  const int64_t M = padded<kLanes>(L);
  const auto t = tables_in(scratch, M, C);
  take_rows(q, stride, L, M, C, 1.0F / std::sqrt(static_cast<float>(C)), t.q);
  take_rows(k, stride, L, M, C, 1, t.k);
  take_rows(v, stride, L, M, C, 1, t.v);
  transpose(t.k, M, C, t.k_t);
  for (int64_t begin = 0; begin < L; begin += kQueries) {
    const int64_t seen = keys_seen(is_causal, begin, L), columns = padded<kLanes>(seen);
    multiply_rows<kLanes>({t.q + begin * C, C, 1}, t.k_t, M, 0, C, columns, t.p, M);
    const int64_t rows = std::min(kQueries, L - begin);
    float inverse[kQueries] = {};
    for (int64_t r = 0; r < kQueries; ++r) {
      float* p = t.p + r * M;
      const int64_t n = is_causal ? std::min(begin + r + 1, L) : L;
      for (int64_t j = n; j < columns; ++j) p[j] = kUnseen;
      Wide top = load_lanes<kLanes>(p);
      for (int64_t j = kLanes; j < columns; j += kLanes) {
        const Wide x = load_lanes<kLanes>(p + j);
        top = x > top ? x : top;
      }
      float greatest = top[0];
      for (int i = 1; i < kLanes; ++i) greatest = std::max(greatest, top[i]);
      const float sum = exp_row<kLanes>(p, columns, greatest);
      // what is hidden has come out as e^-87: nothing beside a sum of at least 1, but not zero
      for (int64_t j = n; j < columns; ++j) p[j] = 0;
      inverse[r] = 1.0F / sum;
      if (r < rows) lse[(begin + r) * lse_stride] = greatest + std::log(sum);
    }
    multiply_rows<kLanes>({t.p, M, 1}, t.v, C, 0, seen, C, t.d, C);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < C; c += 8)
        store_lanes(out + (begin + r) * out_stride + c, load_lanes(t.d + r * C + c) * inverse[r]);
  }
}

// Its gradients. dq is written; dk and dv are added to, or written where `is_first`.
struct Backward {
  const float *d_out, *out;
  int64_t out_stride;
  const float *q, *k, *v, *lse;
  int64_t lse_stride, stride, L, C;
  bool is_causal, is_first;
  float *dq, *dk, *dv, *scratch;
};

template <int kLanes>
FINER_INLINE void backward_head_by(const Backward& head) {
  const auto [d_out, out, out_stride, q, k, v, lse, lse_stride, stride, L, C, is_causal, is_first,
              dq, dk, dv, scratch] = head;
  using Wide = typename LanesOf<kLanes>::Floats;
  const int64_t M = padded<kLanes>(L);
  const auto t = tables_in(scratch, M, C);
  const float scale = 1.0F / std::sqrt(static_cast<float>(C));
  take_rows(q, stride, L, M, C, scale, t.q);
  take_rows(k, stride, L, M, C, 1, t.k);
  take_rows(v, stride, L, M, C, 1, t.v);
  take_rows(d_out, out_stride, L, M, C, 1, t.d_out);
  transpose(t.k, M, C, t.k_t);
  transpose(t.v, M, C, t.v_t);
  for (int64_t i = 0; i < L; ++i) {
    Lanes sums{};
    for (int64_t c = 0; c < C; c += 8)
      sums += load_lanes(t.d_out + i * C + c) * load_lanes(out + i * out_stride + c);
    float sum = 0;
    for (int lane = 0; lane < 8; ++lane) sum += sums[lane];
    t.delta[i] = sum;
  }
  for (int64_t begin = 0; begin < L; begin += kQueries) {
    const int64_t seen = keys_seen(is_causal, begin, L), columns = padded<kLanes>(seen);
    float *p_rows = t.p + begin * M, *dp_rows = t.dp + begin * M;
    multiply_rows<kLanes>({t.q + begin * C, C, 1}, t.k_t, M, 0, C, columns, p_rows, M);
    multiply_rows<kLanes>({t.d_out + begin * C, C, 1}, t.v_t, M, 0, C, columns, dp_rows, M);
    const int64_t rows = std::min(kQueries, L - begin);
    for (int64_t r = 0; r < rows; ++r) {
      float *p = p_rows + r * M, *dp = dp_rows + r * M;
      const int64_t i = begin + r, n = is_causal ? i + 1 : L;
      const float log_sum = lse[i * lse_stride], delta = t.delta[i];
      for (int64_t j = 0; j < columns; j += kLanes) {
        Wide x = load_lanes<kLanes>(p + j) - log_sum;
        exp_lanes<kLanes>(x);
        store_lanes<kLanes>(p + j, x);
        store_lanes<kLanes>(dp + j, x * (load_lanes<kLanes>(dp + j) - delta));
      }
      // columns that are not seen hold anything by now, infinity too
      for (int64_t j = n; j < columns; ++j) p[j] = dp[j] = 0;
    }
    // dq = scale * dp k, of these queries
    multiply_rows<kLanes>({dp_rows, M, 1}, t.k, C, 0, seen, C, t.d, C);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < C; c += 8)
        store_lanes(dq + (begin + r) * stride + c, load_lanes(t.d + r * C + c) * scale);
  }
  // dk = dp^T (scale q), dv = p^T d_out
  const auto add = [&](const float* table, const float* b, float* to)
      __attribute__((always_inline)) {
    for (int64_t begin = 0; begin < L; begin += kQueries) {
      multiply_rows<kLanes>({table + begin, 1, M}, b, C, is_causal ? begin : 0, L, C, t.d, C);
      for (int64_t r = 0; r < std::min(kQueries, L - begin); ++r) {
        float* row = to + (begin + r) * stride;
        for (int64_t c = 0; c < C; c += 8) {
          const Lanes x = load_lanes(t.d + r * C + c);
          store_lanes(row + c, is_first ? x : load_lanes(row + c) + x);
        }
      }
    }
  };
  add(t.dp, t.q, dk);
  add(t.p, t.d_out, dv);
}

FINER_CLONES void forward_head_8(const Forward& head) { forward_head_by<8>(head); }
FINER_CLONES void backward_head_8(const Backward& head) { backward_head_by<8>(head); }
FINER_WIDE void forward_head_16(const Forward& head) { forward_head_by<16>(head); }
FINER_WIDE void backward_head_16(const Backward& head) { backward_head_by<16>(head); }

void forward_head(const Forward& head) {
  has_wide_lanes() ? forward_head_16(head) : forward_head_8(head);
}

void backward_head(const Backward& head) {
  has_wide_lanes() ? backward_head_16(head) : backward_head_8(head);
}

// Working memory of one head of a sequence of `length`, in floats.
int64_t scratch_size(int64_t length, int64_t C) {
  const int64_t M = padded<16>(length);
  return 7 * M * C + 2 * M * M + M;
}

struct Heads {
  int64_t H, K, C;
  bool is_causal;

  int64_t width() const { return (H + 2 * K) * C; }
};

// Query heads of key head k of one sequence: qkv [L, (H + 2K) * C] -> out [L, H * C], lse [L, H].
void forward_group(const Heads& heads, const float* qkv, int64_t length, int64_t k, float* out,
                   float* lse, float* scratch) {
  const auto [H, K, C, is_causal] = heads;
  const int64_t key = (H + k) * C, value = key + K * C;
  for (int64_t h = k * (H / K); h < (k + 1) * (H / K); ++h) {
    forward_head({qkv + h * C, qkv + key, qkv + value, heads.width(), length, C, is_causal,
                  out + h * C, H * C, lse + h, H, scratch});
  }
}

void backward_group(const Heads& heads, const float* d_out, const float* qkv, const float* out,
                    const float* lse, int64_t length, int64_t k, float* d_qkv, float* scratch) {
  const auto [H, K, C, is_causal] = heads;
  const int64_t G = H / K, key = (H + k) * C, value = key + K * C;
  for (int64_t h = k * G; h < (k + 1) * G; ++h) {
    backward_head({d_out + h * C, out + h * C, H * C, qkv + h * C, qkv + key, qkv + value, lse + h,
                   H, heads.width(), length, C, is_causal, h == k * G, d_qkv + h * C, d_qkv + key,
                   d_qkv + value, scratch});
  }
}

// Calls work(begin, length, key head, scratch) for every sequence and key head. Each is computed by
// one thread in the same way, whatever their number.
template <typename Work>
void for_each_group(const std::vector<int64_t>& bounds, const Heads& heads, const Work& work) {
  const auto num_sequences = static_cast<int64_t>(bounds.size()) - 1;
  int64_t longest = 0;
  for (size_t s = 0; s + 1 < bounds.size(); ++s)
    longest = std::max(longest, bounds[s + 1] - bounds[s]);
  at::parallel_for(0, num_sequences * heads.K, 4, [&](int64_t first, int64_t last) {
    std::vector<float> scratch(static_cast<size_t>(scratch_size(longest, heads.C)));
    for (int64_t task = first; task < last; ++task) {
      const auto at = static_cast<size_t>(task / heads.K);
      work(bounds[at], bounds[at + 1] - bounds[at], task % heads.K, scratch.data());
    }
  });
}

class ShortAttendFunction : public Function<ShortAttendFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& qkv_TX,
                            const std::optional<at::Tensor>& cos,
                            const std::optional<at::Tensor>& sin,
                            const std::vector<int64_t>& bounds, int64_t H, int64_t K, int64_t C) {
    const Heads heads{H, K, C, cos.has_value()};
    if (cos) rotate_heads_(qkv_TX, H + K, *cos, *sin, +1);
    auto out_TX = at::empty({qkv_TX.size(0), H * C}, qkv_TX.options());
    auto lse_TH = at::empty({qkv_TX.size(0), H}, qkv_TX.options());
    const float* qkv = qkv_TX.const_data_ptr<float>();
    float *out = out_TX.data_ptr<float>(), *lse = lse_TH.data_ptr<float>();
    for_each_group(bounds, heads, [&](int64_t begin, int64_t length, int64_t k, float* scratch) {
      forward_group(heads, qkv + begin * heads.width(), length, k, out + begin * H * C,
                    lse + begin * H, scratch);
    });
    ctx->save_for_backward(
        {qkv_TX, out_TX, lse_TH, cos.value_or(at::Tensor()), sin.value_or(at::Tensor())});
    ctx->saved_data["bounds"] = bounds;
    ctx->saved_data["H"] = H;
    ctx->saved_data["K"] = K;
    return out_TX;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto &qkv_TX = saved[0], &out_TX = saved[1], &cos = saved[3], &sin = saved[4];
    const int64_t H = ctx->saved_data["H"].toInt(), K = ctx->saved_data["K"].toInt();
    const int64_t C = out_TX.size(1) / H;
    const Heads heads{H, K, C, cos.defined()};
    const auto d_out_TX = grads[0].contiguous();
    auto d_qkv_TX = at::empty_like(qkv_TX);
    const float *qkv = qkv_TX.const_data_ptr<float>(), *out = out_TX.const_data_ptr<float>();
    const float *lse = saved[2].const_data_ptr<float>(), *d_out = d_out_TX.const_data_ptr<float>();
    float* d_qkv = d_qkv_TX.data_ptr<float>();
    for_each_group(ctx->saved_data["bounds"].toIntVector(), heads,
                   [&](int64_t begin, int64_t length, int64_t k, float* scratch) {
                     backward_group(heads, d_out + begin * H * C, qkv + begin * heads.width(),
                                    out + begin * H * C, lse + begin * H, length, k,
                                    d_qkv + begin * heads.width(), scratch);
                   });
    if (cos.defined()) rotate_heads_(d_qkv_TX, H + K, cos, sin, -1);
    variable_list result(7);
    result[0] = d_qkv_TX;
    return result;
  }
};

}  // namespace

bool takes_short_attention(const at::Tensor& qkv, int64_t head_size, int64_t max_length) {
  return qkv.is_cpu() && qkv.scalar_type() == at::kFloat && qkv.is_contiguous() &&
         head_size % 8 == 0 && max_length <= kMaxLength;
}

at::Tensor attend_short(const at::Tensor& qkv_TX, const std::optional<RopeRows>& rope,
                        const std::vector<int64_t>& bounds, const AttentionConfig& config) {
  return ShortAttendFunction::apply(qkv_TX, rope ? std::optional(rope->cos) : std::nullopt,
                                    rope ? std::optional(rope->sin) : std::nullopt, bounds,
                                    config.num_heads, config.num_kv_heads, config.head_size);
}

}  // namespace finer
