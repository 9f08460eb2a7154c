#pragma once

#include "finer/nn/linear.h"

#include <ATen/core/Tensor.h>

#include <string>

namespace finer {

/// down(silu(gate(x)) * up(x)). Source: https://arxiv.org/abs/2002.05202 (SwiGLU); `LlamaMLP`.
class GatedMlp {
 public:
  GatedMlp() = default;
  GatedMlp(const std::string& path, int64_t width, int64_t mlp_width, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x_TD) const;

  Linear gate_up_proj;  // parts gate_proj, up_proj
  Linear down_proj;
};

/// silu(gate) * up of rows [T, 2F] that hold gate then up; returns [T, F]. Keeps only its input for
/// the backward pass.
at::Tensor swiglu(const at::Tensor& gate_up_TX);
/// The same by plain ATen operators (the oracle).
at::Tensor swiglu_plain(const at::Tensor& gate_up_TX);

/// x * sigmoid(1.702 x), CLIP's activation.
at::Tensor quick_gelu(const at::Tensor& x);

}  // namespace finer
