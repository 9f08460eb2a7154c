#include "finer/train/step.h"

#include "finer/core/rng.h"
#include "finer/train/device_batch.h"
#include "finer/train/loss.h"

#include <torch/csrc/autograd/autograd.h>

#include <cmath>

namespace finer {

namespace {

// The last pass with a target, behind which gradients are whole; none where there is no such pass.
size_t last_pass(const data::StepBatch& batch) {
  size_t p = batch.passes.size();
  while (p > 0 && batch.passes[p - 1].num_label_tokens == 0) --p;
  return p - 1;
}

std::string step_text(const data::StepBatch& batch) {
  return "step " + std::to_string(batch.step + 1);
}

double sum_over_ranks(const StepRanks& ranks, const data::StepBatch& batch, double own) {
  ranks.watch.mark(dist::Doing::kWaiting, step_text(batch) + ", the sum of the losses");
  double sum = 0;
  for (const auto& values : ranks.group.gather({own})) sum += values[0];
  return sum;
}

// Ranks make an update together where it is dear (Muon's).
UpdateShare update_share(const StepRanks& ranks, const data::StepBatch& batch) {
  const auto gather = [&](const at::Tensor& own, const at::Tensor& all) {
    ranks.watch.mark(dist::Doing::kWaiting, step_text(batch) + ", the other ranks' updates");
    ranks.group.all_gather(own, all)->wait();
    ranks.watch.mark(dist::Doing::kWork, step_text(batch) + ", the update");
  };
  return {ranks.group.rank(), ranks.group.size(), gather};
}

}  // namespace

StepResult train_step(Llava& model, Optimizer& optimizer, const data::StepBatch& batch,
                      const LossConfig& config, double factor, uint64_t seed, LossScaler* scaler,
                      const StepRanks* ranks) {
  StepResult result;
  const double scale = scaler ? scaler->scale() : 1.0;
  optimizer.zero_grad();
  const size_t last = last_pass(batch);
  std::vector<at::Tensor> losses;  // read at the end: a device works on while the next pass is made
  for (size_t p = 0; p < batch.passes.size(); ++p) {
    const auto& pass = batch.passes[p];
    if (pass.num_label_tokens == 0) continue;
    if (ranks) {
      ranks->watch.mark(dist::Doing::kWork, step_text(batch) + ", pass " + std::to_string(p + 1));
      if (p == last) ranks->reducer.arm();
    }
    const auto device = to_device(pass, model);
    const double divisor = config.norm == "micro_batch"
                               ? pass.label_weight * static_cast<double>(batch.num_passes)
                               : batch.label_weight;
    const auto global_pass = static_cast<uint64_t>(batch.first_pass) + p;
    const DropoutSeed masks(
        mix_seed(mix_seed(seed, static_cast<uint64_t>(batch.step)), global_pass + 1) | 1);
    const auto hidden_MD = model.forward(device.input, device.rows);
    const auto loss = head_loss(hidden_MD, model.language().head(), device.targets,
                                device.weights * (scale / divisor), config.chunk_tokens);
    if (loss.requires_grad()) torch::autograd::backward({loss}, {});
    losses.push_back(loss.detach());
  }
  for (const auto& loss : losses) result.loss += loss.item<double>() / scale;
  if (ranks) {
    ranks->watch.mark(dist::Doing::kWaiting, step_text(batch) + ", the sum of the gradients");
    ranks->reducer.finish();
    result.loss = sum_over_ranks(*ranks, batch, result.loss);
    ranks->watch.mark(dist::Doing::kWork, step_text(batch) + ", the update");
  }
  if (scaler) optimizer.unscale(scale);
  result.grad_norm = optimizer.clip();
  if (scaler) scaler->update(!std::isfinite(result.grad_norm));
  if (std::isfinite(result.loss) && std::isfinite(result.grad_norm)) {
    optimizer.step(factor, ranks ? update_share(*ranks, batch) : UpdateShare());
  } else {
    result.skipped = true;
  }
  return result;
}

}  // namespace finer
