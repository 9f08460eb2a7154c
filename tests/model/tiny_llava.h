#pragma once

#include "finer/model/load.h"
#include "tests/tensors.h"

#include <string>
#include <vector>

namespace finer {

/// Where tests/golden/model/llava has a picture: the id of `<image>`, once a position.
constexpr int64_t kTinyImageId = 63;

inline ModelConfig tiny_model() {
  ModelConfig model;
  model.llava = golden_path("model/llava");
  return model;
}

inline std::unique_ptr<Llava> tiny_llava() { return load_llava(tiny_model(), at::kCPU, 0); }

/// Rows of ids packed one after the other, with the pixels of the pictures they hold.
inline LlavaInput packed_input(const std::vector<at::Tensor>& rows, const at::Tensor& pixels = {}) {
  LlavaInput input;
  std::vector<int64_t> bounds = {0};
  for (const auto& row : rows) bounds.push_back(bounds.back() + row.size(0));
  const auto ids = at::cat(rows);
  input.ids_T = ids.masked_fill(ids == kTinyImageId, 0);
  if (pixels.defined()) {
    input.image_slots = (ids == kTinyImageId).nonzero().squeeze(1);
    input.pixels = pixels;
  }
  input.packing = Packing::from_bounds(bounds, at::kCPU);
  return input;
}

/// Logits of every position, [T, V].
inline at::Tensor logits_of(Llava& model, const LlavaInput& input) {
  const at::NoGradGuard no_gradients;
  return at::mm(model.forward(input), model.language().head().t());
}

/// All weights by name, copied.
inline Tensors weights_of(const Llava& model) {
  Tensors out;
  model.visit_weights(
      [&](const std::string& name, const at::Tensor& slot) { out[name] = slot.detach().clone(); });
  return out;
}

}  // namespace finer
