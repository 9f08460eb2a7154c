#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace finer {

/// Weighted sum of cross entropies of the vocabulary product, float32 scalar.
///
/// hidden_MD  hidden states at target positions, compute dtype
/// head_VD    output matrix
/// targets    int64 [M]; weights float32 [M]
/// At most `chunk` rows of logits exist at a time; gradients are made in the same pass, so nothing
/// of [M, V] is kept.
at::Tensor head_loss(const at::Tensor& hidden_MD, const at::Tensor& head_VD,
                     const at::Tensor& targets, const at::Tensor& weights, int64_t chunk);

/// The same with all logits at once, by ATen operators (the oracle).
at::Tensor head_loss_plain(const at::Tensor& hidden_MD, const at::Tensor& head_VD,
                           const at::Tensor& targets, const at::Tensor& weights);

}  // namespace finer
