#pragma once

#include "finer/model/config.h"
#include "finer/nn/linear.h"

#include <ATen/core/Tensor.h>

#include <vector>

namespace finer {

/// Vision features to the decoder's width: one linear layer, or N of them with GELU between.
///
/// Source: https://arxiv.org/abs/2310.03744 (LLaVA-1.5); `LlavaMultiModalProjector`.
class Projector {
 public:
  Projector(const ProjectorConfig& config, int64_t in, int64_t out, at::TensorOptions options);
  /// features [..., vision width] -> [..., D]
  at::Tensor forward(const at::Tensor& features) const;
  void visit_weights(const WeightVisitor& visit) const;
  std::vector<Linear*> linears();

 private:
  std::vector<Linear> layers_;
};

}  // namespace finer
