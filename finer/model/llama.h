#pragma once

#include "finer/model/config.h"
#include "finer/nn/attention.h"
#include "finer/nn/cached_attention.h"
#include "finer/nn/mlp.h"
#include "finer/nn/norm.h"
#include "finer/nn/packing.h"
#include "finer/nn/rope.h"

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

namespace finer {

class LlamaLayer {
 public:
  LlamaLayer(const std::string& path, const LanguageConfig& config, at::TensorOptions options);
  /// x_TD    [T, D] residual stream
  /// rows    positions whose output is wanted (int64 [M]); undefined: all
  /// returns [T or M, D]
  at::Tensor forward(const at::Tensor& x_TD, const RopeRows& rope, const Packing& packing,
                     const at::Tensor& rows = {}) const;

  at::Tensor forward_cached(const at::Tensor& x_TD, const RopeRows& rope, const CachedView& view,
                            KvLayer& cache, const at::Tensor& rows = {}) const;

  RmsNorm input_norm, post_attention_norm;
  Attention attention;
  GatedMlp mlp;
};

/// LLaMA decoder over packed sequences. Source: https://arxiv.org/abs/2302.13971;
/// `LlamaForCausalLM`.
class Llama {
 public:
  Llama(const LanguageConfig& config, at::TensorOptions options);

  /// ids int64 [T] -> [T, D] in the compute dtype.
  at::Tensor embed(const at::Tensor& ids_T) const;

  /// Hidden states after the last norm.
  ///
  /// x_TD     [T, D] embeddings (text and pictures)
  /// rows     positions wanted, int64 [M] ascending; undefined: all. The last layer's output
  /// projection and MLP, and
  ///          the norm, are computed for these alone: nothing else of them is ever used.
  /// returns  [M, D]
  at::Tensor forward(const at::Tensor& x_TD, const Packing& packing, const at::Tensor& rows = {});

  /// The same for rows whose earlier tokens are in a cache, a layer each; the rows' own keys and
  /// values are added to it. No gradients. `view` has its tensors made (cached_attention.h).
  at::Tensor forward_cached(const at::Tensor& x_TD, const CachedView& view,
                            std::vector<KvLayer>& cache, const at::Tensor& rows = {});

  /// The residual stream behind the first `num_layers` layers, without the last norm: a probe's
  /// tap.
  at::Tensor forward_layers(const at::Tensor& x_TD, const Packing& packing, int64_t num_layers);

  /// What attends in each layer.
  AttentionConfig attention_config() const;

  /// The output matrix [V, D]: the embedding's where they are tied.
  const at::Tensor& head() const { return config_.tie_embeddings ? embedding_ : head_; }
  /// The same for a model that only answers: empty before pack().
  const PackedWeight& packed_head() const { return packed_head_; }
  /// Linear::pack() of all layers, and a packed head beside the head: the model answers sooner and
  /// trains no more.
  void pack();

  void visit_weights(const WeightVisitor& visit) const;
  std::vector<Linear*> linears();
  std::vector<at::Tensor*> other_weights();

  const LanguageConfig& config() const { return config_; }
  /// Computes each layer again in the backward pass instead of keeping what it needs.
  bool recomputes_layers = false;

 private:
  LanguageConfig config_;
  at::ScalarType dtype_;  // what it computes in; weights that train are float32 and cast at use
  at::Tensor embedding_;  // [V, D]
  at::Tensor head_;       // [V, D], undefined when tied
  PackedWeight packed_head_;
  std::vector<LlamaLayer> layers_;
  RmsNorm norm_;
  Rope rope_;
};

}  // namespace finer
