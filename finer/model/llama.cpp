#include "finer/model/llama.h"

#include "finer/nn/recompute.h"
#include "finer/nn/rows.h"

#include <torch/csrc/autograd/custom_function.h>

namespace finer {

namespace {

RopeConfig rope_config(const LanguageConfig& c) {
  return {c.head_size,
          c.max_positions,
          c.rope_theta,
          c.rope_scaling,
          c.rope_factor,
          c.rope_low_freq_factor,
          c.rope_high_freq_factor,
          c.rope_original_positions};
}

}  // namespace

LlamaLayer::LlamaLayer(const std::string& path, const LanguageConfig& c, at::TensorOptions options)
    : input_norm(path + ".input_layernorm", c.width, c.norm_eps, options),
      post_attention_norm(path + ".post_attention_layernorm", c.width, c.norm_eps, options),
      attention(path + ".self_attn",
                {.width = c.width,
                 .num_heads = c.num_heads,
                 .num_kv_heads = c.num_kv_heads,
                 .head_size = c.head_size},
                options),
      mlp(path + ".mlp", c.width, c.mlp_width, options) {}

at::Tensor LlamaLayer::forward(const at::Tensor& x_TD, const RopeRows& rope, const Packing& packing,
                               const at::Tensor& rows) const {
  const auto attended = attention.forward(input_norm.forward(x_TD), rope, packing, rows);
  const auto h_TD = (rows.defined() ? select_rows(x_TD, rows) : x_TD) + attended;
  return h_TD + mlp.forward(post_attention_norm.forward(h_TD));
}

at::Tensor LlamaLayer::forward_cached(const at::Tensor& x_TD, const RopeRows& rope,
                                      const CachedView& view, KvLayer& cache,
                                      const at::Tensor& rows) const {
  const auto attended = attention.forward_cached(input_norm.forward(x_TD), rope, view, cache, rows);
  const auto h_TD = (rows.defined() ? x_TD.index_select(0, rows) : x_TD) + attended;
  return h_TD + mlp.forward(post_attention_norm.forward(h_TD));
}

Llama::Llama(const LanguageConfig& config, at::TensorOptions options)
    : config_(config),
      dtype_(at::typeMetaToScalarType(options.dtype())),
      embedding_(at::empty({config.vocab_size, config.width}, options)),
      norm_("language_model.norm", config.width, config.norm_eps, options),
      rope_(rope_config(config), options.device()) {
  if (!config.tie_embeddings) head_ = at::empty({config.vocab_size, config.width}, options);
  layers_.reserve(static_cast<size_t>(config.num_layers));
  for (int64_t i = 0; i < config.num_layers; ++i) {
    layers_.emplace_back("language_model.layers." + std::to_string(i), config, options);
  }
}

at::Tensor Llama::embed(const at::Tensor& ids_T) const {
  return embedding_.index_select(0, ids_T).to(dtype_);
}

at::Tensor Llama::forward(const at::Tensor& x_TD, const Packing& packing, const at::Tensor& rows) {
  const auto [cos, sin] = rope_.rows(packing.positions_T, packing.max_length);
  const RopeRows rope{cos, sin};
  auto h_TD = x_TD;
  for (size_t i = 0; i < layers_.size(); ++i) {
    const auto wanted = i + 1 == layers_.size() ? rows : at::Tensor();
    const auto run = [&layer = layers_[i], rope, packing, wanted](const at::Tensor& x) {
      return layer.forward(x, rope, packing, wanted);
    };
    h_TD = recomputes_layers ? recompute(run, h_TD) : run(h_TD);
  }
  return norm_.forward(h_TD);
}

at::Tensor Llama::forward_cached(const at::Tensor& x_TD, const CachedView& view,
                                 std::vector<KvLayer>& cache, const at::Tensor& rows) {
  const auto [cos, sin] = rope_.rows(view.positions_T, view.max_position + 1);
  const RopeRows rope{cos, sin};
  auto h_TD = x_TD;
  for (size_t i = 0; i < layers_.size(); ++i) {
    const auto wanted = i + 1 == layers_.size() ? rows : at::Tensor();
    h_TD = layers_[i].forward_cached(h_TD, rope, view, cache[i], wanted);
  }
  return norm_.forward(h_TD);
}

at::Tensor Llama::forward_layers(const at::Tensor& x_TD, const Packing& packing,
                                 int64_t num_layers) {
  const auto [cos, sin] = rope_.rows(packing.positions_T, packing.max_length);
  auto h_TD = x_TD;
  for (int64_t i = 0; i < num_layers; ++i)
    h_TD = layers_.at(static_cast<size_t>(i)).forward(h_TD, {cos, sin}, packing);
  return h_TD;
}

void Llama::pack() {
  for (auto* linear : linears()) linear->pack();
  packed_head_ = PackedWeight(head());
}

AttentionConfig Llama::attention_config() const {
  return {.width = config_.width,
          .num_heads = config_.num_heads,
          .num_kv_heads = config_.num_kv_heads,
          .head_size = config_.head_size};
}

void Llama::visit_weights(const WeightVisitor& visit) const {
  visit("language_model.embed_tokens.weight", embedding_);
  for (const auto& layer : layers_) {
    layer.input_norm.visit_weights(visit);
    layer.attention.qkv_proj.visit_weights(visit);
    layer.attention.o_proj.visit_weights(visit);
    layer.post_attention_norm.visit_weights(visit);
    layer.mlp.gate_up_proj.visit_weights(visit);
    layer.mlp.down_proj.visit_weights(visit);
  }
  norm_.visit_weights(visit);
  if (head_.defined()) visit("language_model.lm_head.weight", head_);
}

std::vector<Linear*> Llama::linears() {
  std::vector<Linear*> out;
  for (auto& layer : layers_) {
    for (auto* linear : {&layer.attention.qkv_proj, &layer.attention.o_proj,
                         &layer.mlp.gate_up_proj, &layer.mlp.down_proj}) {
      out.push_back(linear);
    }
  }
  return out;
}

std::vector<at::Tensor*> Llama::other_weights() {
  std::vector<at::Tensor*> out = {&embedding_};
  for (auto& layer : layers_) {
    out.push_back(&layer.input_norm.weight());
    out.push_back(&layer.post_attention_norm.weight());
  }
  out.push_back(&norm_.weight());
  if (head_.defined()) out.push_back(&head_);
  return out;
}

}  // namespace finer
