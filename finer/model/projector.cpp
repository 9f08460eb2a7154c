#include "finer/model/projector.h"

namespace finer {

Projector::Projector(const ProjectorConfig& config, int64_t in, int64_t out,
                     at::TensorOptions options) {
  const int num_layers = config.kind == "linear"
                             ? 1
                             : std::stoi(config.kind.substr(3));  // mlpNx_gelu, checked when read
  layers_.reserve(static_cast<size_t>(num_layers));
  for (int i = 0; i < num_layers; ++i) {
    const auto path = "multi_modal_projector.linear_" + std::to_string(i + 1);
    layers_.emplace_back(std::vector<Linear::Part>{{path, out}}, i == 0 ? in : out, config.bias,
                         options);
  }
}

at::Tensor Projector::forward(const at::Tensor& features) const {
  auto x = layers_.front().forward(features);
  for (size_t i = 1; i < layers_.size(); ++i) x = layers_[i].forward(at::gelu(x));
  return x;
}

void Projector::visit_weights(const WeightVisitor& visit) const {
  for (const auto& layer : layers_) layer.visit_weights(visit);
}

std::vector<Linear*> Projector::linears() {
  std::vector<Linear*> out;
  for (auto& layer : layers_) out.push_back(&layer);
  return out;
}

}  // namespace finer
