#include "finer/model/generate.h"

namespace finer {

std::vector<int64_t> generate_plain(Llava& model, std::vector<int64_t> ids, int64_t image_begin,
                                    const at::Tensor& pixels, int64_t eos_id,
                                    int64_t max_new_tokens) {
  const at::NoGradGuard no_gradients;
  const auto device = model.options().device();
  std::vector<int64_t> answer;
  while (static_cast<int64_t>(answer.size()) < max_new_tokens) {
    LlavaInput input;
    input.ids_T = at::tensor(ids, at::kLong).to(device);
    input.packing = Packing::from_bounds({0, static_cast<int64_t>(ids.size())}, device);
    if (image_begin >= 0) {
      input.image_slots =
          at::arange(image_begin, image_begin + model.config().image_positions(), at::kLong)
              .to(device);
      input.pixels = pixels.to(device);
    }
    const auto last = at::tensor({static_cast<int64_t>(ids.size()) - 1}, at::kLong).to(device);
    const auto hidden = model.forward(input, last);
    const int64_t next = at::mm(hidden, model.language().head().to(hidden.scalar_type()).t())
                             .argmax()
                             .item<int64_t>();
    if (next == eos_id) break;
    answer.push_back(next);
    ids.push_back(next);
  }
  return answer;
}

}  // namespace finer
