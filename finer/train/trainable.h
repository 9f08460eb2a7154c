#pragma once

#include "finer/model/llava.h"
#include "finer/train/config.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace finer {

/// One tensor that trains: a float32 leaf, with the name its optimizer state is saved under.
struct Trainable {
  std::string name;
  std::string part;  // language | projector | vision
  bool is_adapter = false;
  at::Tensor leaf;
  // Rows of each weight matrix in the leaf, one below the other, where it is a linear layer's own;
  // empty: an adapter, a vector, an embedding, the head.
  std::vector<int64_t> matrix_rows = {};
};

/// Turns what trains into float32 leaves (adapters are there already: lora::attach) and lists it,
/// in model order.
std::vector<Trainable> prepare_training(Llava& model, const TrainConfig& config);

}  // namespace finer
