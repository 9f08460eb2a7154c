#pragma once

#include "finer/model/config.h"
#include "finer/nn/linear.h"
#include "finer/nn/norm.h"

#include <ATen/core/Tensor.h>

#include <vector>

namespace finer {

/// One pre-norm transformer layer of CLIP's vision tower.
class ClipLayer {
 public:
  ClipLayer(const std::string& path, const VisionConfig& config, at::TensorOptions options);
  /// x_NPD [N, P + 1, D]
  at::Tensor forward(const at::Tensor& x_NPD) const;

  LayerNorm norm1, norm2;
  Linear qkv_proj, out_proj, fc1, fc2;

 private:
  int64_t num_heads_;
  bool is_quick_gelu_;
};

/// CLIP vision transformer up to the hidden state that the projector gets; layers behind it are not
/// built.
///
/// Source: https://arxiv.org/abs/2103.00020; `CLIPVisionModel`.
class ClipVision {
 public:
  /// feature_layer counts hidden states: 0 the embeddings, num_layers (or -1) the last layer's
  /// output.
  ClipVision(const VisionConfig& config, int64_t feature_layer, bool keep_class_token,
             at::TensorOptions options);

  /// pixels [N, 3, side, side] normalised, any float dtype; returns features [N, P, D], P patches
  /// (and the class token first where it is kept).
  at::Tensor forward(const at::Tensor& pixels) const;
  /// The hidden state behind the first `num_layers` of the built layers instead: a probe's tap.
  at::Tensor hidden_state(const at::Tensor& pixels, int64_t num_layers) const;

  void visit_weights(const WeightVisitor& visit) const;
  std::vector<Linear*> linears();
  std::vector<at::Tensor*>
  other_weights();  // everything but the layers' Linears, in visiting order
  int64_t num_built_layers() const { return static_cast<int64_t>(layers_.size()); }

 private:
  VisionConfig config_;
  bool keep_class_token_;
  at::ScalarType dtype_;  // what it computes in; weights that train are float32 and cast at use
  at::Tensor class_embedding_;     // [D]
  at::Tensor patch_embedding_;     // [D, 3, patch, patch]
  at::Tensor position_embedding_;  // [P + 1, D]
  LayerNorm pre_norm_;
  std::vector<ClipLayer> layers_;
};

}  // namespace finer
