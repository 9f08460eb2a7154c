#pragma once

#include "finer/eval/config.h"
#include "finer/eval/eval_results.h"
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

/// Features of pictures: [N, D] the mean over positions, or [N, P * D] flat; float32, host.
/// Of the language model: at the picture's positions of a conversation that asks about it.
///
/// pixels [N, 3, side, side]
at::Tensor tap_features(const Session& session, const Tap& tap, bool is_flat,
                        const at::Tensor& pixels);

/// Fits a head by AdamW (cross entropy, features standardised with the fit set's mean and
/// deviation) and returns its accuracy on the test features. The same seed gives the same number.
///
/// x [N, D] float32; y int64 [N], classes from 0
double probe_accuracy(const EvalLinearConfig& config, const at::Tensor& fit_x,
                      const at::Tensor& fit_y, const at::Tensor& test_x, const at::Tensor& test_y,
                      int64_t num_classes);

/// All linear probes of a recipe for one model. Features are kept in
/// OUT/probes/features/KEY.safetensors, KEY a hash of model, tap, pool and records, and read again
/// by later runs. returns  false: stopped
bool run_linear_probes(const EvalRecipe& recipe, OpenModel& model,
                       const std::function<bool()>& stop, EvalResults& results);

/// Makes the features that run_linear_probes will ask for, so that several ranks can each do a
/// model's. returns  false: stopped
bool keep_linear_features(const EvalRecipe& recipe, OpenModel& model,
                          const std::function<bool()>& stop);

/// Their section of the report, from results.extra["linear"].
void add_linear_section(EvalResults& results);

}  // namespace finer
