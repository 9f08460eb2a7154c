#pragma once

#include "finer/model/llava.h"
#include "finer/recipe/recipe.h"
#include "finer/train/trainable.h"

#include <cstdint>
#include <vector>

namespace finer {

/// What a run will take, by count (dry run). Muon's buffers are not counted.
struct StepCost {
  int64_t base_bytes = 0;     // frozen weights
  int64_t trained_bytes = 0;  // float32 value, gradient and moments of what trains
  int64_t pass_tokens = 0;    // tokens of the largest device pass
  int64_t pass_bytes = 0;     // what one pass keeps for its backward pass, and one chunk of logits
  double flops = 0;           // of one optimizer step, Muon's products included
};

/// total: values of the model and its adapters. tokens, labels, pictures: means a sample. A frozen
/// matrix costs 2 operations a parameter and token forward and 2 backward, one that trains 2 more;
/// the vision tower runs forward only while it is frozen.
StepCost step_cost(const Llava& model, const Recipe& recipe,
                   const std::vector<Trainable>& trainables, int64_t total, double tokens,
                   double labels, double pictures);

}  // namespace finer
