#pragma once

#include "data/pack.h"
#include "finer/model/llava.h"

#include <ATen/core/Tensor.h>

namespace finer {

/// One device pass as tensors on the model's device, and where its targets are.
struct DeviceBatch {
  LlavaInput input;
  at::Tensor rows;     // int64 [M], rows of the stream whose next token is a target
  at::Tensor targets;  // int64 [M]
  at::Tensor
      weights;  // float32 [M], loss weight of each target (not yet divided), a shared one's sum
};

DeviceBatch to_device(const data::PackedBatch& batch, const Llava& model);

}  // namespace finer
