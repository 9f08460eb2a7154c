#include "finer/train/step.h"

#include "finer/core/rng.h"
#include "finer/train/device_batch.h"
#include "finer/train/loss.h"

#include <torch/csrc/autograd/autograd.h>

#include <cmath>

namespace finer {

StepResult train_step(Llava& model, AdamW& optimizer, const data::StepBatch& batch,
                      const LossConfig& config, double factor, uint64_t seed, LossScaler* scaler) {
  StepResult result;
  const double scale = scaler ? scaler->scale() : 1.0;
  optimizer.zero_grad();
  for (size_t p = 0; p < batch.passes.size(); ++p) {
    const auto& pass = batch.passes[p];
    if (pass.num_label_tokens == 0) continue;
    const auto device = to_device(pass, model);
    const double divisor = config.norm == "micro_batch"
                               ? pass.label_weight * static_cast<double>(batch.passes.size())
                               : batch.label_weight;
    const DropoutSeed masks(mix_seed(mix_seed(seed, static_cast<uint64_t>(batch.step)), p + 1) | 1);
    const auto hidden_MD = model.forward(device.input, device.rows);
    const auto loss = head_loss(hidden_MD, model.language().head(), device.targets,
                                device.weights * (scale / divisor), config.chunk_tokens);
    if (loss.requires_grad()) torch::autograd::backward({loss}, {});
    result.loss += loss.item<double>() / scale;
  }
  if (scaler) optimizer.unscale(scale);
  result.grad_norm = optimizer.clip();
  if (scaler) scaler->update(!std::isfinite(result.grad_norm));
  if (std::isfinite(result.loss) && std::isfinite(result.grad_norm)) {
    optimizer.step(factor);
  } else {
    result.skipped = true;
  }
  return result;
}

}  // namespace finer
