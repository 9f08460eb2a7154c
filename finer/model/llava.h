#pragma once

#include "finer/model/clip_vision.h"
#include "finer/model/config.h"
#include "finer/model/llama.h"
#include "finer/model/projector.h"

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <vector>

namespace finer {

/// What one device pass works on, on the model's device.
struct LlavaInput {
  at::Tensor ids_T;  // int64 [T]; image positions hold any valid id
  at::Tensor
      image_slots;  // int64 [N * P], positions that image features fill; undefined without pictures
  at::Tensor pixels;  // [N, 3, side, side]; undefined without pictures
  Packing packing;
};

/// LLaVA: vision tower, projector, decoder. Source: https://arxiv.org/abs/2304.08485,
/// https://arxiv.org/abs/2310.03744; `LlavaForConditionalGeneration`.
class Llava {
 public:
  /// Weights are allocated, not filled: see load.h and presets.h.
  Llava(const LlavaConfig& config, at::TensorOptions options);

  /// Hidden states after the last norm, at the positions `rows` (all where undefined): [M, D].
  at::Tensor forward(const LlavaInput& input, const at::Tensor& rows = {});

  void visit_weights(const WeightVisitor& visit) const;

  const LlavaConfig& config() const { return config_; }
  Llama& language() { return language_; }
  const Llama& language() const { return language_; }
  ClipVision* vision() { return vision_ ? &*vision_ : nullptr; }
  Projector* projector() { return projector_ ? &*projector_ : nullptr; }
  int64_t num_vision_layers() const { return vision_ ? vision_->num_built_layers() : 0; }
  bool trains_vision = false;  // false: the vision tower runs without gradients
  at::TensorOptions options() const { return options_; }

 private:
  LlavaConfig config_;
  at::TensorOptions options_;
  std::optional<ClipVision> vision_;
  std::optional<Projector> projector_;
  Llama language_;
};

}  // namespace finer
