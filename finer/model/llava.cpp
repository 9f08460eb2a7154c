#include "finer/model/llava.h"

#include "finer/core/error.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/grad_mode.h>

namespace finer {

Llava::Llava(const LlavaConfig& config, at::TensorOptions options)
    : config_(config), options_(options), language_(config.language, options) {
  if (!config.has_vision) return;
  vision_.emplace(config.vision, config.feature_layer, config.keep_class_token, options);
  projector_.emplace(config.projector, config.vision.width, config.language.width, options);
}

at::Tensor Llava::forward(const LlavaInput& input, const at::Tensor& rows) {
  auto x_TD = language_.embed(input.ids_T);
  if (input.pixels.defined()) {
    FINER_CHECK(vision_.has_value(),
                "pictures are refused when the data is read by a text-only model");
    at::Tensor features;
    {
      const at::AutoGradMode with_gradients(trains_vision && at::GradMode::is_enabled());
      features = vision_->forward(input.pixels);
    }
    const auto projected = projector_->forward(features.reshape({-1, features.size(-1)}));
    FINER_CHECK(projected.size(0) == input.image_slots.size(0), "a slot for every image feature");
    x_TD = x_TD.index_copy(0, input.image_slots, projected);
  }
  return language_.forward(x_TD, input.packing, rows);
}

void Llava::visit_weights(const WeightVisitor& visit) const {
  if (vision_) vision_->visit_weights(visit);
  if (projector_) projector_->visit_weights(visit);
  language_.visit_weights(visit);
}

}  // namespace finer
