#include "finer/train/step_cost.h"

#include "finer/train/optim.h"

#include <algorithm>

namespace finer {

StepCost step_cost(const Llava& model, const Recipe& recipe,
                   const std::vector<Trainable>& trainables, int64_t total, double tokens,
                   double labels, double pictures) {
  const auto& c = model.config();
  const auto& l = c.language;
  const int64_t item = recipe.model.dtype == "float32" ? 4 : 2;
  StepCost out;
  int64_t trainable = 0;
  double muon = 0;
  for (const auto& t : trainables) {
    trainable += t.leaf.numel();
    const bool is_muon = takes_muon(recipe.optim, t);
    out.trained_bytes += t.leaf.numel() * (is_muon ? 12 : 16);
    if (t.is_adapter && item == 2) out.trained_bytes += t.leaf.numel() * item;  // RoundedLeaf
    if (!is_muon) continue;
    for (const int64_t rows : t.matrix_rows)
      muon += orthogonalize_flops(rows, t.leaf.size(1), recipe.optim.muon_steps);
  }
  out.base_bytes = (total - trainable) * item;
  const auto samples = static_cast<double>(recipe.batch.samples);
  out.pass_tokens = std::min(recipe.batch.device_tokens, static_cast<int64_t>(tokens * samples));

  // Kept of a decoder layer, a token: two normed and two residual streams, q/k/v, attention's
  // output, gate, up and their product.
  const int64_t heads = l.num_heads * l.head_size, kv = l.num_kv_heads * l.head_size;
  const int64_t a_layer = 4 * l.width + 2 * heads + 2 * kv + 3 * l.mlp_width;
  const bool recomputes = recipe.train.recompute == "full";
  const int64_t kept = recomputes ? l.num_layers * l.width + a_layer : l.num_layers * a_layer;
  out.pass_bytes = out.pass_tokens * kept * item + 2 * recipe.loss.chunk_tokens * l.vocab_size * 4;

  double language = 0, vision = 0;
  model.visit_weights([&](const std::string& name, const at::Tensor& slot) {
    if (slot.dim() < 2 || name.find("embed_tokens") != std::string::npos ||
        name.find("lm_head") != std::string::npos) {
      return;
    }
    (name.rfind("vision_tower.", 0) == 0 ? vision : language) += static_cast<double>(slot.numel());
  });
  const auto units = [](const std::string& mode) { return mode == "full" ? 6.0 : 4.0; };
  const double head = static_cast<double>(l.vocab_size * l.width);
  const double patches = c.has_vision ? static_cast<double>(c.vision.num_patches() + 1) : 0;
  out.flops = samples * (units(recipe.train.language) * language * tokens +
                         units(recipe.train.language) * head * labels +
                         (recipe.train.vision == "frozen" ? 2.0 : units(recipe.train.vision)) *
                             vision * patches * pictures +
                         6.0 * static_cast<double>(trainable) * tokens) +
              muon;
  return out;
}

}  // namespace finer
