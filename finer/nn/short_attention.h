#pragma once

#include "finer/nn/attention.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace finer {

/// Attention of sequences whose tables of scores fit into a core's cache, float32 on the CPU,
/// shared out over threads by sequence and key head. LibTorch's fused operator spends more on a
/// sequence of some dozen tokens than its products take.
///
/// qkv_TX   [T, (H + 2K) * C], contiguous; rotated IN PLACE where there is a rope
/// rope     causal attention with rotary positions; none: every token sees its whole sequence
/// bounds   [S+1], first row of each sequence, and T
/// returns  [T, H * C]
///
/// Bytes do not depend on the number of threads. Oracles: attend_plain, attend_all_plain.
at::Tensor attend_short(const at::Tensor& qkv_TX, const std::optional<RopeRows>& rope,
                        const std::vector<int64_t>& bounds, const AttentionConfig& config);

/// Whether attend_short takes these: contiguous float32 on the CPU, C a multiple of 8,
/// sequences of at most 256 tokens.
bool takes_short_attention(const at::Tensor& qkv, int64_t head_size, int64_t max_length);

}  // namespace finer
