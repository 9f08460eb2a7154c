#include "finer/train/trainable.h"

#include "lora/attach.h"

namespace finer {

namespace {

void make_leaf(at::Tensor& tensor) {
  tensor = tensor.detach().to(at::kFloat).clone().requires_grad_(true);
}

void train_linears(const std::vector<Linear*>& linears, const std::string& part,
                   std::vector<Trainable>& out) {
  for (auto* linear : linears) {
    std::string name;
    std::vector<int64_t> rows;
    for (const auto& p : linear->parts()) {
      name += (name.empty() ? "" : "+") + p.path;
      rows.push_back(p.out);
    }
    make_leaf(linear->weight());
    out.push_back({name + ".weight", part, false, linear->weight(), rows});
    if (!linear->has_bias()) continue;
    make_leaf(linear->bias());
    out.push_back({name + ".bias", part, false, linear->bias()});
  }
}

void train_others(const std::vector<at::Tensor*>& tensors, const std::string& part,
                  std::vector<Trainable>& out) {
  for (size_t i = 0; i < tensors.size(); ++i) {
    make_leaf(*tensors[i]);
    out.push_back({part + ".other." + std::to_string(i), part, false, *tensors[i]});
  }
}

}  // namespace

std::vector<Trainable> prepare_training(Llava& model, const TrainConfig& config) {
  std::vector<Trainable> out;
  for (auto* linear : lora::adapted_linears(model)) {
    const auto& adapter = *linear->adapter();
    const bool is_vision = linear->parts()[0].path.rfind("vision_tower.", 0) == 0;
    const std::string part = is_vision ? "vision" : "language";
    out.push_back({adapter.id + "lora_A", part, true, adapter.A});
    for (const auto& p : adapter.parts)
      out.push_back({linear->parts()[p.part].path + ".lora_B", part, true, p.B});
  }
  if (config.language == "full") {
    train_linears(model.language().linears(), "language", out);
    train_others(model.language().other_weights(), "language", out);
  }
  if (auto* vision = model.vision()) {
    if (config.vision == "full") {
      train_linears(vision->linears(), "vision", out);
      train_others(vision->other_weights(), "vision", out);
    }
    model.trains_vision = config.vision != "frozen";
    if (config.projector == "full") train_linears(model.projector()->linears(), "projector", out);
  }
  model.language().recomputes_layers = config.recompute == "full";
  return out;
}

}  // namespace finer
