#pragma once

#include "finer/eval/config.h"
#include "finer/eval/eval_results.h"
#include "finer/eval/inquiry.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>

namespace finer {

/// Fits a head by AdamW (cross entropy, features standardised with the fit set's mean and
/// deviation) and returns its accuracy on the test features. The same seed gives the same number.
///
/// x [N, D] float32; y int64 [N], classes from 0; stop is asked once an epoch
/// returns  none: stopped
std::optional<double> probe_accuracy(const EvalLinearConfig& config, const at::Tensor& fit_x,
                                     const at::Tensor& fit_y, const at::Tensor& test_x,
                                     const at::Tensor& test_y, int64_t num_classes,
                                     const std::function<bool()>& stop);

/// All linear probes of a recipe for one model. Features are kept (tap_features.h), and each head's
/// accuracy in OUT/probes/heads/KEY.json, KEY a hash of features, labels and the head's settings;
/// later runs read both again. returns  false: stopped
bool run_linear_probes(const EvalRecipe& recipe, OpenModel& model,
                       const std::function<bool()>& stop, EvalResults& results);

/// Makes what run_linear_probes will ask for, so that several ranks can each do a model's.
/// returns  false: stopped
bool keep_linear_probes(const EvalRecipe& recipe, OpenModel& model,
                        const std::function<bool()>& stop);

/// Their section of the report, from results.extra["linear"].
void add_linear_section(EvalResults& results);

}  // namespace finer
