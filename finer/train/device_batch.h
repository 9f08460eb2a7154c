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
  at::Tensor weights;  // float32 [M], loss weight of each target (not yet divided), a shared one's
                       // sum; 0 of rows that only bring M to a multiple
};

/// row_multiple: rows of the stream, and targets, are brought to a multiple of it by a sequence of
/// the batch's first token, without a target, and by rows of weight 0; they change no loss and no
/// gradient (where the model's values are finite).
DeviceBatch to_device(const data::PackedBatch& batch, const Llava& model, int64_t row_multiple);
/// With what suits the model's device: 128 on CUDA, where products of a shape that was not there
/// before cost milliseconds each until a kernel is chosen and loaded; 1 elsewhere.
DeviceBatch to_device(const data::PackedBatch& batch, const Llava& model);

}  // namespace finer
