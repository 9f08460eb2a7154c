#include "finer/model/projector.h"

#include "tests/tensors.h"

#include <catch2/catch.hpp>

namespace finer {

TEST_CASE("the projector is transformers': two layers, or one", "[model]") {
  const auto g = golden("model/projector.safetensors");
  for (const std::string kind : {"mlp2x_gelu", "linear"}) {
    INFO(kind);
    Projector projector({.kind = kind}, 12, 24, at::kFloat);
    const auto prefix = std::string("multi_modal_projector.").size();
    projector.visit_weights([&](const std::string& name, const at::Tensor& slot) {
      slot.copy_(g.at(kind + "." + name.substr(prefix)));
    });
    CHECK(difference(projector.forward(g.at("features")), g.at(kind)) < 1e-6);
  }
}

TEST_CASE("a projector of N layers names them from 1, with a bias or without", "[model]") {
  const auto names = [](const ProjectorConfig& config) {
    std::string out;
    Projector(config, 3, 5, at::kFloat)
        .visit_weights([&](const std::string& name, const at::Tensor& slot) {
          out += name.substr(std::string("multi_modal_projector.").size()) + " " +
                 std::to_string(slot.size(-1)) + "\n";
        });
    return out;
  };
  CHECK(names({.kind = "mlp3x_gelu"}) ==
        "linear_1.weight 3\nlinear_1.bias 5\nlinear_2.weight 5\nlinear_2.bias 5\nlinear_3.weight "
        "5\nlinear_3.bias 5\n");
  CHECK(names({.kind = "mlp2x_gelu", .bias = false}) == "linear_1.weight 3\nlinear_2.weight 5\n");
  // the recipe allows up to 16 of them
  CHECK(Projector({.kind = "mlp12x_gelu", .bias = false}, 3, 5, at::kFloat).linears().size() == 12);
}

}  // namespace finer
