#pragma once

#include "finer/model/llava.h"
#include "finer/train/optim.h"
#include "finer/train/trainable.h"

#include <vector>

namespace finer {

/// Holds what a run says of itself against what it does: every tensor that trains moves, no frozen
/// one does.
///
/// A tensor that trains has moved when its first moment is not zero; frozen ones are compared by
/// sum and norm, so that nothing is copied.
class MovementCheck {
 public:
  MovementCheck(const Llava& model, const std::vector<Trainable>& trainables);

  /// After an update with a rate above 0. LoRA's A stands still until B has moved once, and the
  /// projector until a picture has been seen, so the check is made after the second such update
  /// that had a picture (or any, for a text-only model); later calls do nothing. Throws:
  /// std::logic_error naming the tensor: such a run would not train what it was asked to.
  void after_update(const Optimizer& optimizer, bool had_picture);

 private:
  std::vector<std::pair<std::string, at::Tensor>> frozen_;
  std::vector<at::Tensor> frozen_sums_;
  bool needs_picture_ = false;
  int updates_ = 0;
};

}  // namespace finer
