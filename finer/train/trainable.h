#pragma once

#include "finer/model/llava.h"
#include "finer/train/config.h"

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace finer {

/// One tensor that trains: a float32 leaf, with the name its optimizer state is saved under.
struct Trainable {
  std::string name;
  std::string part;  // language | projector | vision
  bool is_adapter = false;
  at::Tensor leaf;
};

/// Turns what trains into float32 leaves (adapters are there already: lora::attach) and lists it,
/// in model order.
std::vector<Trainable> prepare_training(Llava& model, const TrainConfig& config);

}  // namespace finer
