#include "lora/merge.h"

#include "lora/attach.h"

#include <cmath>

namespace finer::lora {

MergeNorms merge(Llava& model) {
  const at::NoGradGuard no_gradients;
  const auto square = [](const at::Tensor& x) {
    return x.square().sum(at::kDouble).item<double>();
  };
  MergeNorms squares;
  for (auto* linear : adapted_linears(model)) {
    const auto& adapter = *linear->adapter();
    int64_t row = 0;
    for (const auto& part : adapter.parts) {
      auto weight = linear->part_weight(part.part);
      const auto update = at::mm(part.B, adapter.A.narrow(0, row, part.rank)).mul_(part.scale);
      const auto exact = weight.to(at::kFloat) + update;
      weight.copy_(exact);
      squares.update += square(update);
      squares.lost += square(exact - weight.to(at::kFloat));
      row += part.rank;
    }
    linear->adapter().reset();
  }
  return {std::sqrt(squares.update), std::sqrt(squares.lost)};
}

}  // namespace finer::lora
