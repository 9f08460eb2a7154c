#include "finer/train/loss_scaler.h"

#include "finer/core/error.h"

#include <cmath>
#include <limits>
#include <sstream>

namespace finer {

LossScaler::LossScaler(const LossScalerConfig& config) : config_(config), state_{config.init, 0} {
  const bool is_sound = std::isfinite(config.init) && config.least > 0 &&
                        config.init >= config.least && std::isfinite(config.growth) &&
                        config.growth > 1 && config.backoff > 0 && config.backoff < 1 &&
                        config.growth_interval >= 1;
  if (!is_sound) {
    throw ConfigError(
        "loss scale: expected init >= least > 0, growth > 1, 0 < backoff < 1 and an interval of at "
        "least 1 step");
  }
}

void LossScaler::update(bool found_inf) {
  if (found_inf) {
    state_ = {state_.scale * config_.backoff, 0};
    if (state_.scale < config_.least) {
      std::ostringstream message;
      message << "loss scale: gradients are not finite at a scale of "
              << state_.scale / config_.backoff
              << " either; lower optim.lr, or train in bfloat16 or float32";
      throw ConfigError(message.str());
    }
    return;
  }
  if (++state_.good_steps < config_.growth_interval) return;
  // The scaled loss is a float32: a scale that does not fit one would make every step infinite.
  const double grown = state_.scale * config_.growth;
  state_ = {grown <= std::numeric_limits<float>::max() ? grown : state_.scale, 0};
}

void LossScaler::restore(const LossScalerState& state) {
  if (!std::isfinite(state.scale) || state.scale < config_.least ||
      state.scale > std::numeric_limits<float>::max() || state.good_steps < 0) {
    std::ostringstream message;
    message << "checkpoint: a loss scale of " << state.scale << " after " << state.good_steps
            << " good steps; expected a finite scale of at least " << config_.least
            << " and no negative count";
    throw CheckpointError(message.str());
  }
  state_ = state;
}

}  // namespace finer
