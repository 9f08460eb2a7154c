#include "finer/train/optim.h"

#include "finer/core/error.h"

#include <algorithm>
#include <cmath>

namespace finer {

double schedule_factor(const OptimConfig& config, int64_t step, int64_t total_steps) {
  const int64_t warmup =
      config.warmup_steps > 0
          ? config.warmup_steps
          : static_cast<int64_t>(std::ceil(config.warmup_ratio * static_cast<double>(total_steps)));
  if (step < warmup)
    return static_cast<double>(step) / static_cast<double>(std::max<int64_t>(1, warmup));
  if (config.schedule == "constant") return 1.0;
  const double progress = static_cast<double>(step - warmup) /
                          static_cast<double>(std::max<int64_t>(1, total_steps - warmup));
  const double share =
      config.schedule == "cosine" ? 0.5 * (1.0 + std::cos(M_PI * progress)) : 1.0 - progress;
  return config.min_lr_ratio + (1.0 - config.min_lr_ratio) * std::max(0.0, share);
}

double base_lr(const OptimConfig& config, const std::string& part) {
  if (part == "projector" && config.projector_lr > 0) return config.projector_lr;
  if (part == "vision" && config.vision_lr > 0) return config.vision_lr;
  return config.lr;
}

double muon_lr(OptimConfig config, const std::string& part) {
  if (config.muon_lr > 0) config.lr = config.muon_lr;
  return base_lr(config, part);
}

bool takes_muon(const OptimConfig& config, const Trainable& trainable) {
  return config.matrices == "muon" && !trainable.matrix_rows.empty();
}

Optimizer::Optimizer(std::vector<Trainable> trainables, const OptimConfig& config)
    : trainables_(std::move(trainables)), config_(config) {
  for (const auto& t : trainables_) {
    exp_avg_.push_back(at::zeros_like(t.leaf, at::TensorOptions().requires_grad(false)));
    const bool is_muon = takes_muon(config_, t);
    exp_avg_sq_.push_back(is_muon ? at::Tensor() : at::zeros_like(exp_avg_.back()));
    steps_.push_back(is_muon ? at::Tensor() : at::zeros({}, t.leaf.options().requires_grad(false)));
  }
}

std::vector<at::Tensor> Optimizer::grads() const {
  std::vector<at::Tensor> out;
  for (const auto& t : trainables_) {
    if (t.leaf.grad().defined()) out.push_back(t.leaf.grad());
  }
  return out;
}

void Optimizer::unscale(double scale) {
  const at::NoGradGuard no_gradients;
  auto all = grads();
  if (!all.empty()) at::_foreach_mul_(all, 1.0 / scale);
}

double Optimizer::clip() {
  const at::NoGradGuard no_gradients;
  auto all = grads();
  if (all.empty()) return 0;
  const double norm = at::stack(at::_foreach_norm(all)).norm().item<double>();
  if (config_.clip_norm > 0 && std::isfinite(norm)) {
    const double factor = config_.clip_norm / (norm + 1e-6);
    if (factor < 1) at::_foreach_mul_(all, factor);
  }
  return norm;
}

void Optimizer::step_muon(double factor, const UpdateShare& share) {
  std::vector<MuonMatrix> matrices;
  for (size_t i = 0; i < trainables_.size(); ++i) {
    const auto& t = trainables_[i];
    if (!t.leaf.grad().defined() || !takes_muon(config_, t)) continue;
    const double lr = muon_lr(config_, t.part) * factor;
    int64_t row = 0;
    for (const int64_t rows : t.matrix_rows) {
      matrices.push_back({t.leaf.narrow(0, row, rows), t.leaf.grad().narrow(0, row, rows),
                          exp_avg_[i].narrow(0, row, rows), lr, config_.weight_decay});
      row += rows;
    }
  }
  muon_step(matrices, config_.muon_momentum, config_.muon_steps, share);
}

void Optimizer::step(double factor, const UpdateShare& share) {
  const at::NoGradGuard no_gradients;
  is_updating_ = true;
  // Tensors of one rate and decay go through one call.
  std::map<std::pair<double, double>, std::vector<size_t>> groups;
  for (size_t i = 0; i < trainables_.size(); ++i) {
    if (!trainables_[i].leaf.grad().defined() || takes_muon(config_, trainables_[i])) continue;
    const double decay = trainables_[i].leaf.dim() >= 2 ? config_.weight_decay : 0.0;
    groups[{base_lr(config_, trainables_[i].part), decay}].push_back(i);
  }
  for (const auto& [key, members] : groups) {
    std::vector<at::Tensor> params, grads, m, v, steps;
    for (const size_t i : members) {
      params.push_back(trainables_[i].leaf);
      grads.push_back(trainables_[i].leaf.grad());
      m.push_back(exp_avg_[i]);
      v.push_back(exp_avg_sq_[i]);
      steps.push_back(steps_[i]);
    }
    at::_foreach_add_(steps, 1);
    at::_fused_adamw_(params, grads, m, v, {}, steps, key.first * factor, config_.beta1,
                      config_.beta2, key.second, config_.eps, false, false);
    // it writes behind autograd's back: whoever keeps something made of a leaf must learn of it
    for (const auto& leaf : params) leaf.unsafeGetTensorImpl()->bump_version();
  }
  if (config_.matrices == "muon") step_muon(factor, share);
  is_updating_ = false;
}

void Optimizer::zero_grad() {
  for (auto& t : trainables_) t.leaf.mutable_grad() = at::Tensor();
}

std::string Optimizer::without_gradient() const {
  for (size_t i = 0; i < trainables_.size(); ++i) {
    if (!exp_avg_[i].any().item<bool>()) return trainables_[i].name;
  }
  return "";
}

std::map<std::string, at::Tensor> Optimizer::state() const {
  std::map<std::string, at::Tensor> out;
  for (size_t i = 0; i < trainables_.size(); ++i) {
    const auto& t = trainables_[i];
    out["exp_avg/" + t.name] = exp_avg_[i];
    if (exp_avg_sq_[i].defined()) {
      out["exp_avg_sq/" + t.name] = exp_avg_sq_[i];
      out["step/" + t.name] = steps_[i];
    }
    if (!t.is_adapter) out["leaf/" + t.name] = t.leaf.detach();
  }
  return out;
}

void Optimizer::load_state(const std::map<std::string, at::Tensor>& state,
                           const std::string& where) {
  const at::NoGradGuard no_gradients;
  const auto fill = [&](const std::string& name, at::Tensor slot) {
    const auto found = state.find(name);
    if (found == state.end()) throw CheckpointError(where + ": lacks " + name);
    if (found->second.sizes() != slot.sizes())
      throw CheckpointError(where + ": " + name + " has another shape");
    slot.copy_(found->second);
  };
  for (size_t i = 0; i < trainables_.size(); ++i) {
    auto& t = trainables_[i];
    fill("exp_avg/" + t.name, exp_avg_[i]);
    if (exp_avg_sq_[i].defined()) {
      fill("exp_avg_sq/" + t.name, exp_avg_sq_[i]);
      fill("step/" + t.name, steps_[i]);
    }
    if (!t.is_adapter) fill("leaf/" + t.name, t.leaf);
  }
}

}  // namespace finer
