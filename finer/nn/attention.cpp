#include "finer/nn/attention.h"

#include "finer/core/error.h"
#include "finer/nn/cached_attention.h"
#include "finer/nn/rope.h"
#include "finer/nn/rows.h"
#include "finer/nn/short_attention.h"

#include <ATen/Parallel.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace finer {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// Heads `first`.. of one sequence's rows as the CPU kernel wants them, with the groups as its
// batch: [K, H / K or 1, L, C], a view.
at::Tensor grouped(const at::Tensor& rows_TX, int64_t begin, int64_t length, int64_t first_head,
                   int64_t groups, int64_t heads_a_group, int64_t C) {
  const int64_t row = rows_TX.stride(0);
  return rows_TX.as_strided({groups, heads_a_group, length, C}, {heads_a_group * C, C, row, 1},
                            rows_TX.storage_offset() + begin * row + first_head * C);
}

// Calls `attend(begin, length)` for every sequence. Where they are many, threads take whole
// sequences (short ones are not worth a thread a head); each is computed in the same way either
// way, so bytes do not depend on it.
template <typename Attend>
void for_each_sequence(const std::vector<int64_t>& bounds, const Attend& attend) {
  const auto num_sequences = static_cast<int64_t>(bounds.size()) - 1;
  const auto run = [&](int64_t first, int64_t last) {
    // Worker threads know nothing of the caller's modes.
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    const at::NoGradGuard no_gradients;
    for (int64_t s = first; s < last; ++s) {
      const auto at = static_cast<size_t>(s);
      attend(bounds[at], bounds[at + 1] - bounds[at]);
    }
  };
  if (num_sequences < 2 * at::get_num_threads()) {
    run(0, num_sequences);
  } else {
    at::parallel_for(0, num_sequences, 1, run);
  }
}

struct CpuAttendFunction : public Function<CpuAttendFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& qkv_TX, const at::Tensor& cos,
                            const at::Tensor& sin, const std::vector<int64_t>& bounds, int64_t H,
                            int64_t K, int64_t C) {
    rotate_heads_(qkv_TX, H + K, cos, sin, +1);
    const int64_t G = H / K;
    auto out_TX = at::empty({qkv_TX.size(0), H * C}, qkv_TX.options());
    auto lse = at::empty({bounds.back(), H}, qkv_TX.options().dtype(at::kFloat));
    for_each_sequence(bounds, [&](int64_t begin, int64_t L) {
      const auto q = grouped(qkv_TX, begin, L, 0, K, G, C);
      const auto k = grouped(qkv_TX, begin, L, H, K, 1, C).expand({K, G, L, C});
      const auto v = grouped(qkv_TX, begin, L, H + K, K, 1, C).expand({K, G, L, C});
      auto [o, l] = at::_scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, true);
      grouped(out_TX, begin, L, 0, K, G, C).copy_(o);
      lse.as_strided({K, G, L}, {G, 1, H}, begin * H).copy_(l);
    });
    ctx->save_for_backward({qkv_TX, out_TX, lse, cos, sin});
    ctx->saved_data["bounds"] = bounds;
    ctx->saved_data["H"] = H;
    ctx->saved_data["K"] = K;
    return out_TX;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto &qkv_TX = saved[0], &out_TX = saved[1], &lse = saved[2];
    const auto bounds = ctx->saved_data["bounds"].toIntVector();
    const int64_t H = ctx->saved_data["H"].toInt(), K = ctx->saved_data["K"].toInt();
    const int64_t C = out_TX.size(1) / H, G = H / K;
    const auto dout_TX = grads[0].contiguous();
    auto dqkv_TX = at::empty_like(qkv_TX);
    for_each_sequence(bounds, [&](int64_t begin, int64_t L) {
      const auto q = grouped(qkv_TX, begin, L, 0, K, G, C);
      const auto k = grouped(qkv_TX, begin, L, H, K, 1, C).expand({K, G, L, C});
      const auto v = grouped(qkv_TX, begin, L, H + K, K, 1, C).expand({K, G, L, C});
      const auto o = grouped(out_TX, begin, L, 0, K, G, C);
      const auto l = lse.as_strided({K, G, L}, {G, 1, H}, begin * H).contiguous();
      const auto dout = grouped(dout_TX, begin, L, 0, K, G, C);
      auto [dq, dk, dv] =
          at::_scaled_dot_product_flash_attention_for_cpu_backward(dout, q, k, v, o, l, 0.0, true);
      grouped(dqkv_TX, begin, L, 0, K, G, C).copy_(dq);
      grouped(dqkv_TX, begin, L, H, K, 1, C).copy_(G == 1 ? dk : dk.sum(1, true));
      grouped(dqkv_TX, begin, L, H + K, K, 1, C).copy_(G == 1 ? dv : dv.sum(1, true));
    });
    rotate_heads_(dqkv_TX, H + K, saved[3], saved[4], -1);
    variable_list out(7);
    out[0] = dqkv_TX;
    return out;
  }
};

struct FlashAttendFunction : public Function<FlashAttendFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& qkv_TX, const at::Tensor& cos,
                            const at::Tensor& sin, const at::Tensor& bounds, int64_t max_length,
                            int64_t H, int64_t K, int64_t C) {
    rotate_heads_(qkv_TX, H + K, cos, sin, +1);
    const int64_t T = qkv_TX.size(0);
    const auto q = qkv_TX.narrow(1, 0, H * C).view({T, H, C});
    const auto k = qkv_TX.narrow(1, H * C, K * C).view({T, K, C});
    const auto v = qkv_TX.narrow(1, (H + K) * C, K * C).view({T, K, C});
    auto [out, lse, rng_state, unused, mask] = at::_flash_attention_forward(
        q, k, v, bounds, bounds, max_length, max_length, 0.0, true, false);
    ctx->save_for_backward({qkv_TX, out, lse, rng_state, unused, bounds, cos, sin});
    ctx->saved_data["max_length"] = max_length;
    ctx->saved_data["H"] = H;
    ctx->saved_data["K"] = K;
    return out.view({T, H * C});
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto &qkv_TX = saved[0], &out = saved[1];
    const int64_t H = ctx->saved_data["H"].toInt(), K = ctx->saved_data["K"].toInt();
    const int64_t T = qkv_TX.size(0), C = out.size(2),
                  max_length = ctx->saved_data["max_length"].toInt();
    const auto q = qkv_TX.narrow(1, 0, H * C).view({T, H, C});
    const auto k = qkv_TX.narrow(1, H * C, K * C).view({T, K, C});
    const auto v = qkv_TX.narrow(1, (H + K) * C, K * C).view({T, K, C});
    auto [dq, dk, dv] = at::_flash_attention_backward(
        grads[0].contiguous().view({T, H, C}), q, k, v, out, saved[2], saved[5], saved[5],
        max_length, max_length, 0.0, true, saved[3], saved[4]);
    auto dqkv_TX = at::cat({dq.reshape({T, -1}), dk.reshape({T, -1}), dv.reshape({T, -1})}, 1);
    rotate_heads_(dqkv_TX, H + K, saved[6], saved[7], -1);
    variable_list result(8);
    result[0] = dqkv_TX;
    return result;
  }
};

}  // namespace

at::Tensor attend_packed(const at::Tensor& qkv_TX, const RopeRows& rope, const Packing& packing,
                         const AttentionConfig& config) {
  const int64_t H = config.num_heads, K = config.num_kv_heads, C = config.head_size;
  FINER_CHECK(qkv_TX.size(1) == (H + 2 * K) * C, "qkv holds H + 2K heads");
  const bool is_half = qkv_TX.scalar_type() == at::kHalf || qkv_TX.scalar_type() == at::kBFloat16;
  if (takes_short_attention(qkv_TX, C, packing.max_length))
    return attend_short(qkv_TX, rope, packing.bounds, config);
  if (qkv_TX.is_cpu())
    return CpuAttendFunction::apply(qkv_TX, rope.cos, rope.sin, packing.bounds, H, K, C);
  if (is_half && C % 8 == 0 && C <= 256) {
    // At least 2: for a longest sequence of 1 the kernel takes a path of its own, meant for
    // generation.
    const int64_t max_length = std::max<int64_t>(2, packing.max_length);
    return FlashAttendFunction::apply(qkv_TX, rope.cos, rope.sin, packing.bounds_device, max_length,
                                      H, K, C);
  }
  return attend_plain(qkv_TX, rope, packing, config);
}

at::Tensor attend_plain(const at::Tensor& qkv_TX, const RopeRows& rope, const Packing& packing,
                        const AttentionConfig& config) {
  const int64_t H = config.num_heads, K = config.num_kv_heads, C = config.head_size,
                T = qkv_TX.size(0);
  const auto parts = qkv_TX.view({T, -1, C}).split_with_sizes({H, K, K}, 1);
  const auto q_THC = rotate_plain(parts[0], rope.cos, rope.sin);
  const auto k_TKC = rotate_plain(parts[1], rope.cos, rope.sin);
  std::vector<int64_t> lengths;
  for (size_t s = 0; s + 1 < packing.bounds.size(); ++s)
    lengths.push_back(packing.bounds[s + 1] - packing.bounds[s]);
  const auto qs = q_THC.split_with_sizes(lengths), ks = k_TKC.split_with_sizes(lengths),
             vs = parts[2].split_with_sizes(lengths);
  std::vector<at::Tensor> outs;
  for (size_t s = 0; s < lengths.size(); ++s) {
    const auto q = qs[s].transpose(0, 1), k = ks[s].transpose(0, 1).repeat_interleave(H / K, 0),
               v = vs[s].transpose(0, 1).repeat_interleave(H / K, 0);
    auto scores = at::matmul(q, k.transpose(1, 2)).div(std::sqrt(static_cast<double>(C)));
    const auto hidden = at::ones({lengths[s], lengths[s]}, q.options().dtype(at::kBool)).triu(1);
    scores = scores.masked_fill(hidden, -std::numeric_limits<double>::infinity());
    outs.push_back(
        at::matmul(scores.softmax(-1, at::kFloat).to(v.scalar_type()), v).transpose(0, 1));
  }
  return at::cat(outs).reshape({T, H * C});
}

at::Tensor attend_all(const at::Tensor& qkv_NPX, int64_t num_heads) {
  const int64_t N = qkv_NPX.size(0), P = qkv_NPX.size(1), D = qkv_NPX.size(2) / 3;
  const int64_t C = D / num_heads;
  if (!takes_short_attention(qkv_NPX, C, P)) return attend_all_plain(qkv_NPX, num_heads);
  std::vector<int64_t> bounds;
  for (int64_t n = 0; n <= N; ++n) bounds.push_back(n * P);
  const AttentionConfig config{
      .width = D, .num_heads = num_heads, .num_kv_heads = num_heads, .head_size = C};
  return attend_short(qkv_NPX.view({N * P, 3 * D}), std::nullopt, bounds, config).view({N, P, D});
}

at::Tensor attend_all_plain(const at::Tensor& qkv_NPX, int64_t num_heads) {
  const int64_t N = qkv_NPX.size(0), P = qkv_NPX.size(1), D = qkv_NPX.size(2) / 3;
  const auto qkv = qkv_NPX.view({N, P, 3, num_heads, D / num_heads}).permute({2, 0, 3, 1, 4});
  const auto out_NHPC = at::scaled_dot_product_attention(qkv[0], qkv[1], qkv[2]);
  return out_NHPC.transpose(1, 2).reshape({N, P, D});
}

Attention::Attention(const std::string& path, const AttentionConfig& config,
                     at::TensorOptions options)
    : qkv_proj({{path + ".q_proj", config.num_heads * config.head_size},
                {path + ".k_proj", config.num_kv_heads * config.head_size},
                {path + ".v_proj", config.num_kv_heads * config.head_size}},
               config.width, false, options),
      o_proj({{path + ".o_proj", config.width}}, config.num_heads * config.head_size, false,
             options),
      config_(config) {}

at::Tensor Attention::forward(const at::Tensor& x_TD, const RopeRows& rope, const Packing& packing,
                              const at::Tensor& rows) const {
  const auto qkv_TX = qkv_proj.forward(x_TD);
  if (!packing.is_shared()) {
    const auto out = attend_packed(qkv_TX, rope, packing, config_);
    return o_proj.forward(rows.defined() ? select_rows(out, rows) : out);
  }
  const auto out = attend_packed(expand_shared(qkv_TX, packing), rope, packing, config_);
  return o_proj.forward(
      select_rows(out, rows.defined() ? packing.kept.index_select(0, rows) : packing.kept));
}

at::Tensor Attention::forward_cached(const at::Tensor& x_TD, const RopeRows& rope,
                                     const CachedView& view, KvLayer& layer,
                                     const at::Tensor& rows) const {
  const auto out = attend_cached(qkv_proj.forward(x_TD), rope, view, layer, config_);
  return o_proj.forward(rows.defined() ? out.index_select(0, rows) : out);
}

}  // namespace finer
