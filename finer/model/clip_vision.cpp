#include "finer/model/clip_vision.h"

#include "finer/core/error.h"
#include "finer/nn/attention.h"
#include "finer/nn/mlp.h"

namespace finer {

ClipLayer::ClipLayer(const std::string& path, const VisionConfig& c, at::TensorOptions options)
    : norm1(path + ".layer_norm1", c.width, c.norm_eps, options),
      norm2(path + ".layer_norm2", c.width, c.norm_eps, options),
      qkv_proj({{path + ".self_attn.q_proj", c.width},
                {path + ".self_attn.k_proj", c.width},
                {path + ".self_attn.v_proj", c.width}},
               c.width, true, options),
      out_proj({{path + ".self_attn.out_proj", c.width}}, c.width, true, options),
      fc1({{path + ".mlp.fc1", c.mlp_width}}, c.width, true, options),
      fc2({{path + ".mlp.fc2", c.width}}, c.mlp_width, true, options),
      num_heads_(c.num_heads),
      is_quick_gelu_(c.activation == "quick_gelu") {}

at::Tensor ClipLayer::forward(const at::Tensor& x_NPD) const {
  const auto attended = attend_all(qkv_proj.forward(norm1.forward(x_NPD)), num_heads_);
  const auto h_NPD = x_NPD + out_proj.forward(attended);
  const auto inner = fc1.forward(norm2.forward(h_NPD));
  return h_NPD + fc2.forward(is_quick_gelu_ ? quick_gelu(inner) : at::gelu(inner));
}

ClipVision::ClipVision(const VisionConfig& config, int64_t feature_layer, bool keep_class_token,
                       at::TensorOptions options)
    : config_(config),
      keep_class_token_(keep_class_token),
      dtype_(at::typeMetaToScalarType(options.dtype())),
      class_embedding_(at::empty({config.width}, options)),
      patch_embedding_(
          at::empty({config.width, 3, config.patch_side_px, config.patch_side_px}, options)),
      position_embedding_(at::empty({config.num_patches() + 1, config.width}, options)),
      pre_norm_("vision_tower.pre_layrnorm", config.width, config.norm_eps, options) {
  const int64_t used = feature_layer < 0 ? config.num_layers + 1 + feature_layer : feature_layer;
  FINER_CHECK(used >= 0 && used <= config.num_layers,
              "feature_layer is checked when the config is read");
  layers_.reserve(static_cast<size_t>(used));
  for (int64_t i = 0; i < used; ++i) {
    layers_.emplace_back("vision_tower.encoder.layers." + std::to_string(i), config, options);
  }
}

at::Tensor ClipVision::forward(const at::Tensor& pixels) const {
  return hidden_state(pixels, num_built_layers());
}

at::Tensor ClipVision::hidden_state(const at::Tensor& pixels, int64_t num_layers) const {
  const int64_t N = pixels.size(0), D = config_.width;
  auto patches =
      at::conv2d(pixels.to(dtype_), patch_embedding_.to(dtype_), {}, config_.patch_side_px);
  patches = patches.flatten(2).transpose(1, 2);  // [N, P, D]
  auto x_NPD = at::cat({class_embedding_.to(dtype_).expand({N, 1, D}), patches}, 1) +
               position_embedding_.to(dtype_);
  x_NPD = pre_norm_.forward(x_NPD);
  for (int64_t i = 0; i < num_layers; ++i)
    x_NPD = layers_.at(static_cast<size_t>(i)).forward(x_NPD);
  return keep_class_token_ ? x_NPD : x_NPD.narrow(1, 1, x_NPD.size(1) - 1);
}

void ClipVision::visit_weights(const WeightVisitor& visit) const {
  visit("vision_tower.embeddings.class_embedding", class_embedding_);
  visit("vision_tower.embeddings.patch_embedding.weight", patch_embedding_);
  visit("vision_tower.embeddings.position_embedding.weight", position_embedding_);
  pre_norm_.visit_weights(visit);
  for (const auto& layer : layers_) {
    layer.norm1.visit_weights(visit);
    layer.qkv_proj.visit_weights(visit);
    layer.out_proj.visit_weights(visit);
    layer.norm2.visit_weights(visit);
    layer.fc1.visit_weights(visit);
    layer.fc2.visit_weights(visit);
  }
}

std::vector<Linear*> ClipVision::linears() {
  std::vector<Linear*> out;
  for (auto& layer : layers_) {
    for (auto* linear : {&layer.qkv_proj, &layer.out_proj, &layer.fc1, &layer.fc2})
      out.push_back(linear);
  }
  return out;
}

std::vector<at::Tensor*> ClipVision::other_weights() {
  std::vector<at::Tensor*> out = {&class_embedding_, &patch_embedding_, &position_embedding_,
                                  &pre_norm_.weight(), &pre_norm_.bias()};
  for (auto& layer : layers_) {
    for (auto* norm : {&layer.norm1, &layer.norm2}) {
      out.push_back(&norm->weight());
      out.push_back(&norm->bias());
    }
  }
  return out;
}

}  // namespace finer
