#pragma once

#include "finer/eval/config.h"
#include "finer/eval/inquiry.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace finer {

/// Where features are taken.
struct Tap {
  enum class Part { kVision, kProjector, kLanguage };
  Part part = Part::kProjector;
  int64_t layer = 0;  // vision: as vision_feature_layer counts; language: layers behind it
};

/// "vision:-2" | "projector" | "language:12". Throws: RecipeError.
Tap parse_tap(const std::string& text);

/// Layers that run before a tap, held against the model. Throws: ConfigError where the model has no
/// vision tower, or not that many layers.
int64_t tap_layers(const Tap& tap, const Llava& model);

/// Features of pictures at each tap: [N, D] the mean over positions, or [N, P * D] flat; float32,
/// host. Of the language model: at the picture's positions of a conversation that asks about it.
/// What taps share is computed once.
///
/// pixels [N, 3, side, side]
std::vector<at::Tensor> tap_features(const Session& session, const std::vector<Tap>& taps,
                                     bool is_flat, const at::Tensor& pixels);

/// Features of the chosen records of a set at each tap of a probe, in order of the taps: from
/// OUT/probes/features/KEY.safetensors, KEY a hash of model, tap, pool and records, or made in one
/// walk over the pictures and kept there. Empty: stopped.
std::vector<at::Tensor> features_of(const EvalRecipe& recipe, OpenModel& model, const EvalSet& set,
                                    const EvalLinearConfig& config,
                                    const std::function<bool()>& stop);

}  // namespace finer
