#pragma once

#include "finer/nn/weights.h"

#include <ATen/core/Tensor.h>

#include <string>

namespace finer {

/// Root-mean-square norm over the last axis, computed in float32.
///
/// x [T, D]; returns [T, D] in the dtype of x, rounded before the product with the weight as
/// transformers does. Source: https://arxiv.org/abs/1910.07467; `LlamaRMSNorm`.
class RmsNorm {
 public:
  RmsNorm() = default;
  RmsNorm(std::string path, int64_t width, double eps, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x_TD) const;
  void visit_weights(const WeightVisitor& visit) const { visit(path_ + ".weight", weight_); }
  at::Tensor& weight() { return weight_; }

 private:
  std::string path_;
  double eps_ = 0;
  at::Tensor weight_;
};

/// The plain composition of ATen operators that RmsNorm must equal: the oracle of its tests, and
/// what runs where there is no fused form.
at::Tensor rms_norm_plain(const at::Tensor& x_TD, const at::Tensor& weight, double eps);

/// Layer norm with weight and bias (CLIP).
class LayerNorm {
 public:
  LayerNorm() = default;
  LayerNorm(std::string path, int64_t width, double eps, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x) const;
  void visit_weights(const WeightVisitor& visit) const;
  at::Tensor& weight() { return weight_; }
  at::Tensor& bias() { return bias_; }

 private:
  std::string path_;
  double eps_ = 0;
  at::Tensor weight_, bias_;
};

}  // namespace finer
