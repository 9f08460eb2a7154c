#include "finer/model/clip_vision.h"

#include "tests/tensors.h"

#include <catch2/catch.hpp>

namespace finer {

namespace {

ClipVision tower(const Tensors& g, int64_t feature_layer, bool keep_class_token,
                 const std::string& activation = "quick_gelu") {
  VisionConfig config{.width = 12,
                      .mlp_width = 20,
                      .num_layers = 3,
                      .num_heads = 2,
                      .image_side_px = 8,
                      .patch_side_px = 4};
  config.activation = activation;
  ClipVision vision(config, feature_layer, keep_class_token, at::kFloat);
  vision.visit_weights([&](const std::string& name, const at::Tensor& slot) {
    slot.copy_(g.at("vision_model." + name.substr(std::string("vision_tower.").size())));
  });
  return vision;
}

}  // namespace

// Tolerance: float32 sums of up to 48 terms in another order, over three layers.
TEST_CASE("features of CLIP's second last layer are transformers'", "[model]") {
  const auto g = golden("model/clip.safetensors");
  for (const std::string activation : {"quick_gelu", "gelu"}) {
    INFO(activation);
    const auto vision = tower(g, -2, false, activation);
    CHECK(vision.num_built_layers() == 2);
    CHECK(difference(vision.forward(g.at("pixels")), g.at(activation + ".second_last")) < 2e-6);
  }
  CHECK(difference(g.at("gelu.second_last"), g.at("quick_gelu.second_last")) > 1e-4);
}

TEST_CASE("CLIP's hidden states are counted as transformers counts them", "[model]") {
  const auto g = golden("model/clip.safetensors");
  const auto check = [&](int64_t layer, int64_t num_built, const std::string& state) {
    INFO("layer " << layer);
    const auto vision = tower(g, layer, true);
    CHECK(vision.num_built_layers() == num_built);
    CHECK(difference(vision.forward(g.at("pixels")), g.at(state)) < 2e-6);
  };
  check(-1, 3, "last");
  check(3, 3, "last");
  check(1, 1, "first");
  check(-3, 1, "first");
  check(0, 0, "embeddings");
  check(-4, 0, "embeddings");
}

TEST_CASE("the class token comes first where it is kept", "[model]") {
  const auto g = golden("model/clip.safetensors");
  const auto with = tower(g, -2, true).forward(g.at("pixels"));
  const auto without = tower(g, -2, false).forward(g.at("pixels"));
  CHECK(with.size(1) == 5);
  CHECK(at::equal(with.narrow(1, 1, 4), without));
}

TEST_CASE("pictures of one batch do not see each other", "[model]") {
  const auto g = golden("model/clip.safetensors");
  const auto vision = tower(g, -2, false);
  const auto both = vision.forward(g.at("pixels"));
  const auto second = vision.forward(g.at("pixels").narrow(0, 1, 1));
  CHECK(difference(both.narrow(0, 1, 1), second) < 1e-6);
}

TEST_CASE("every weight of the tower is a Linear's or one of the others", "[model]") {
  auto vision = tower(golden("model/clip.safetensors"), -2, false);
  int64_t visited = 0, listed = 0;
  vision.visit_weights(
      [&](const std::string&, const at::Tensor& slot) { visited += slot.numel(); });
  for (auto* linear : vision.linears()) listed += linear->weight().numel() + linear->bias().numel();
  for (auto* weight : vision.other_weights()) listed += weight->numel();
  CHECK(visited == listed);
}

}  // namespace finer
