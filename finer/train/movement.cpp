#include "finer/train/movement.h"

#include "finer/core/error.h"

#include <set>

namespace finer {

namespace {

at::Tensor sums(const at::Tensor& tensor) {
  const auto t = tensor.detach();
  return at::stack({t.sum(), t.norm()}).to(at::kFloat);  // nothing of the tensor's size is made
}

}  // namespace

MovementCheck::MovementCheck(const Llava& model, const std::vector<Trainable>& trainables) {
  std::set<const void*> trained_storages;
  for (const auto& t : trainables) {
    trained_storages.insert(t.leaf.storage().data());
    needs_picture_ = needs_picture_ || t.part != "language";
  }
  model.visit_weights([&](const std::string& name, const at::Tensor& slot) {
    if (trained_storages.count(slot.storage().data())) return;
    frozen_.emplace_back(name, slot);
    frozen_sums_.push_back(sums(slot));
  });
}

void MovementCheck::after_update(const Optimizer& optimizer, bool had_picture) {
  if (updates_ >= 2 || (needs_picture_ && !had_picture)) return;
  if (++updates_ < 2) return;
  const auto still = optimizer.without_gradient();
  if (!still.empty()) {
    throw Error("after two updates " + still + " has had no gradient, though the recipe trains it");
  }
  for (size_t i = 0; i < frozen_.size(); ++i) {
    FINER_CHECK(at::equal(sums(frozen_[i].second), frozen_sums_[i]),
                frozen_[i].first + " is frozen, but has moved");
  }
}

}  // namespace finer
