#pragma once

#include "finer/train/config.h"
#include "finer/train/muon.h"
#include "finer/train/trainable.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace finer {

/// Factor on the rates at an optimizer step (from 0), as transformers' get_*_schedule_with_warmup.
double schedule_factor(const OptimConfig& config, int64_t step, int64_t total_steps);

/// Rate of a part: its own where the recipe names one, else `lr`.
double base_lr(const OptimConfig& config, const std::string& part);

/// The same for Muon's matrices: the part's own, else `muon_lr`, else `lr`.
double muon_lr(OptimConfig config, const std::string& part);

/// Whether Muon updates it, not AdamW.
bool takes_muon(const OptimConfig& config, const Trainable& trainable);

/// AdamW by ATen's fused multi-tensor operator (source: https://arxiv.org/abs/1711.05101), and Muon
/// (muon.h) where the recipe says so.
///
/// Tensors without a gradient are passed over, as torch.optim does; biases and norms have no weight
/// decay.
class Optimizer {
 public:
  Optimizer(std::vector<Trainable> trainables, const OptimConfig& config);

  /// Divides all gradients by the loss scale.
  void unscale(double scale);
  /// Norm of all gradients; scales them down to clip_norm where they exceed it.
  double clip();
  /// factor: on the rates. share: with several ranks, whose gradients are the same by now.
  void step(double factor, const UpdateShare& share = {});
  /// Whether an update began that has not ended: leaves and moments are of two steps then.
  bool is_updating() const { return is_updating_; }
  void zero_grad();

  /// State by name: `exp_avg/NAME` (with Muon its momentum, and nothing else), `exp_avg_sq/NAME`,
  /// `step/NAME`; and the leaves that no adapter file holds.
  std::map<std::string, at::Tensor> state() const;
  /// Throws: CheckpointError for a missing tensor or another shape.
  void load_state(const std::map<std::string, at::Tensor>& state, const std::string& where);

  /// Name of a tensor whose gradients have all been zero so far; empty where there is none.
  std::string without_gradient() const;

  const std::vector<Trainable>& trainables() const { return trainables_; }

 private:
  std::vector<at::Tensor> grads() const;
  void step_muon(double factor, const UpdateShare& share);

  bool is_updating_ = false;
  std::vector<Trainable> trainables_;
  OptimConfig config_;
  std::vector<at::Tensor> exp_avg_;
  std::vector<at::Tensor> exp_avg_sq_, steps_;  // undefined: Muon's
};

}  // namespace finer
