#pragma once

#include "finer/nn/linear.h"
#include "finer/nn/packing.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace finer {

struct CachedView;
struct KvLayer;

struct AttentionConfig {
  int64_t width = 0;         // D, size of the residual stream
  int64_t num_heads = 0;     // H, query heads
  int64_t num_kv_heads = 0;  // K, key/value heads; K < H means grouped queries
  int64_t head_size = 0;     // C
};

/// Rows of the rotary tables for the tokens of one packed batch: [T, C/2] each, float32.
struct RopeRows {
  at::Tensor cos, sin;
};

/// Causal attention of packed sequences: rotary positions, then block-diagonal attention.
///
/// qkv_TX   [T, (H + 2K) * C], queries, keys and values of each token; rotated IN PLACE: its
/// producer must not
///          have kept it
/// returns  [T, H * C]
///
/// CPU: attend_short where it takes them, else one fused call a sequence. CUDA, 16-bit, C a
/// multiple of 8 up to 256: the variable-length flash kernel, which wants a card of compute
/// capability 8.0. Everything else on CUDA: attend_plain. Source: https://arxiv.org/abs/2205.14135;
/// grouped queries: https://arxiv.org/abs/2305.13245.
at::Tensor attend_packed(const at::Tensor& qkv_TX, const RopeRows& rope, const Packing& packing,
                         const AttentionConfig& config);

/// The same out of differentiable ATen operators, sequence by sequence: the oracle.
at::Tensor attend_plain(const at::Tensor& qkv_TX, const RopeRows& rope, const Packing& packing,
                        const AttentionConfig& config);

/// Attention of a vision encoder: every patch sees all of its picture.
///
/// qkv_NPX   [N, P, 3 * H * C], queries, keys and values of each patch
/// returns   [N, P, H * C]
at::Tensor attend_all(const at::Tensor& qkv_NPX, int64_t num_heads);

/// The same by LibTorch's operator, for all devices and dtypes: the oracle.
at::Tensor attend_all_plain(const at::Tensor& qkv_NPX, int64_t num_heads);

/// Causal self-attention block of a decoder layer: q/k/v projection, attend_packed, output
/// projection.
class Attention {
 public:
  Attention() = default;
  Attention(const std::string& path, const AttentionConfig& config, at::TensorOptions options);

  /// x_TD      [T, D], the normed residual stream, compute dtype
  /// rows      positions whose output is wanted (int64 [M]); undefined: all
  /// returns   [T or M, D]
  at::Tensor forward(const at::Tensor& x_TD, const RopeRows& rope, const Packing& packing,
                     const at::Tensor& rows = {}) const;

  /// The same with keys and values of earlier tokens in a cache (cached_attention.h); no gradients.
  at::Tensor forward_cached(const at::Tensor& x_TD, const RopeRows& rope, const CachedView& view,
                            KvLayer& layer, const at::Tensor& rows = {}) const;

  const AttentionConfig& config() const { return config_; }

  Linear qkv_proj;  // parts q_proj, k_proj, v_proj
  Linear o_proj;

 private:
  AttentionConfig config_;
};

}  // namespace finer
