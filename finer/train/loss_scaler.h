#pragma once

#include <cstdint>

namespace finer {

struct LossScalerConfig {
  double init = 65536.0;
  double growth = 2.0;   // after growth_interval good steps in a row
  double backoff = 0.5;  // after a step whose gradients are not finite
  int64_t growth_interval = 2000;
  double least = 1.0 / 65536.0;  // below it gradients are taken to be broken, not too large
};

/// What a checkpoint keeps of a LossScaler.
struct LossScalerState {
  double scale = 1.0;
  int64_t good_steps = 0;  // since the scale last changed
};

/// Dynamic loss scale of float16 training: the loss is multiplied by scale() before the backward
/// pass, gradients are divided by it before clipping, and a step whose gradients are not finite
/// makes no update.
///
/// Powers of two only change exponents, so with the defaults a scaled step equals an unscaled one
/// up to overflow. Source: https://arxiv.org/abs/1710.03740 (3.2); the rule and its numbers:
/// `torch.amp.GradScaler` 2.11.
class LossScaler {
 public:
  /// Throws: ConfigError for numbers that cannot work.
  explicit LossScaler(const LossScalerConfig& config = {});

  double scale() const { return state_.scale; }

  /// Call once a step, after its gradients are known; found_inf: one of them is not finite, and the
  /// step is skipped. Throws: ConfigError when the scale has fallen below config.least.
  void update(bool found_inf);

  LossScalerState state() const { return state_; }
  /// Goes on from a checkpoint. Throws: CheckpointError for numbers that no scaler writes.
  void restore(const LossScalerState& state);

 private:
  LossScalerConfig config_;
  LossScalerState state_;
};

}  // namespace finer
