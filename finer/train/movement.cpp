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
    trainable_sums_.push_back(sums(t.leaf));
    needs_picture_ = needs_picture_ || t.part != "language";
  }
  model.visit_weights([&](const std::string& name, const at::Tensor& slot) {
    if (trained_storages.count(slot.storage().data())) return;
    frozen_.emplace_back(name, slot);
    frozen_sums_.push_back(sums(slot));
  });
}

void MovementCheck::after_update(const std::vector<Trainable>& trainables, bool had_picture) {
  if (updates_ >= 2 || (needs_picture_ && !had_picture)) return;
  if (++updates_ < 2) return;
  for (size_t i = 0; i < trainables.size(); ++i) {
    FINER_CHECK(!at::equal(sums(trainables[i].leaf), trainable_sums_[i]),
                "after two updates " + trainables[i].name + " has not moved, though it trains");
  }
  for (size_t i = 0; i < frozen_.size(); ++i) {
    FINER_CHECK(at::equal(sums(frozen_[i].second), frozen_sums_[i]),
                frozen_[i].first + " is frozen, but has moved");
  }
}

}  // namespace finer
