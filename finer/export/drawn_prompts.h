#pragma once

#include "finer/model/llava.h"

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace finer {

/// Prompts that mean nothing and reach every weight: a first token, a picture of noise where the
/// model sees, 32 tokens drawn from the vocabulary.
class DrawnPrompts {
 public:
  DrawnPrompts(const Llava& model, int64_t count, uint64_t seed);
  /// Logits behind each of the drawn tokens, [count * 32, V] float32 on the host.
  at::Tensor logits(Llava& model) const;

 private:
  LlavaInput input_;
  at::Tensor rows_;  // int64, positions of the drawn tokens
};

}  // namespace finer
