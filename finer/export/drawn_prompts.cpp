#include "finer/export/drawn_prompts.h"

#include "finer/core/rng.h"

#include <ATen/CPUGeneratorImpl.h>
#include <torch/csrc/autograd/grad_mode.h>

#include <vector>

namespace finer {

namespace {

constexpr int64_t kDrawn = 32;

}  // namespace

DrawnPrompts::DrawnPrompts(const Llava& model, int64_t count, uint64_t seed) {
  const auto& config = model.config();
  const auto device = model.options().device();
  const int64_t positions = config.has_vision ? config.image_positions() : 0;
  Rng rng(seed);
  std::vector<int64_t> ids, slots, rows, bounds = {0};
  for (int64_t n = 0; n < count; ++n) {
    ids.push_back(1);
    for (int64_t p = 0; p < positions; ++p) {
      slots.push_back(static_cast<int64_t>(ids.size()));
      ids.push_back(0);
    }
    for (int64_t t = 0; t < kDrawn; ++t) {
      rows.push_back(static_cast<int64_t>(ids.size()));
      ids.push_back(
          static_cast<int64_t>(rng.below(static_cast<uint64_t>(config.language.vocab_size))));
    }
    bounds.push_back(static_cast<int64_t>(ids.size()));
  }
  input_.ids_T = at::tensor(ids, at::kLong).to(device);
  input_.packing = Packing::from_bounds(bounds, device);
  rows_ = at::tensor(rows, at::kLong).to(device);
  if (positions == 0) return;
  input_.image_slots = at::tensor(slots, at::kLong).to(device);
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  const int64_t side = config.vision.image_side_px;
  input_.pixels = at::empty({count, 3, side, side}, at::kFloat).normal_(0, 1, generator).to(device);
}

at::Tensor DrawnPrompts::logits(Llava& model) const {
  const at::NoGradGuard no_gradients;
  const auto hidden = model.forward(input_, rows_);
  return at::mm(hidden, model.language().head().to(hidden.scalar_type()).t()).to(at::kFloat).cpu();
}

}  // namespace finer
