#include "lora/merge.h"

#include "lora/attach.h"

namespace finer::lora {

void merge(Llava& model) {
  const at::NoGradGuard no_gradients;
  for (auto* linear : adapted_linears(model)) {
    const auto& adapter = *linear->adapter();
    int64_t row = 0;
    for (const auto& part : adapter.parts) {
      auto weight = linear->part_weight(part.part);
      const auto update = at::mm(part.B, adapter.A.narrow(0, row, part.rank)).mul_(part.scale);
      weight.copy_(weight.to(at::kFloat).add_(update));
      row += part.rank;
    }
    linear->adapter().reset();
  }
}

}  // namespace finer::lora
