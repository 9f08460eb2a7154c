#include "finer/model/llava.h"

#include "tests/model/tiny_llava.h"

#include <catch2/catch.hpp>
#include <torch/csrc/autograd/autograd.h>

namespace finer {

// Tolerances: the design asks for 1e-4 of the largest logit; float32 sums over some twenty terms
// and four layers leave a hundredth of that.
TEST_CASE("a LLaVA read from its directory gives transformers' logits", "[model]") {
  const auto g = golden("model/logits.safetensors");
  const auto model = tiny_llava();
  SECTION("with a picture") {
    const auto input = packed_input({g.at("picture.ids")}, g.at("picture.pixels"));
    CHECK(difference(logits_of(*model, input), g.at("picture.logits")) < 2e-6);
  }
  SECTION("without one") {
    CHECK(difference(logits_of(*model, packed_input({g.at("text.ids")})), g.at("text.logits")) <
          2e-6);
  }
  SECTION("both in one packed row, in either order, the picture twice") {
    const auto pixels = g.at("picture.pixels");
    const auto expected =
        at::cat({g.at("text.logits"), g.at("picture.logits"), g.at("picture.logits")});
    const auto input = packed_input({g.at("text.ids"), g.at("picture.ids"), g.at("picture.ids")},
                                    at::cat({pixels, pixels}));
    CHECK(difference(logits_of(*model, input), expected) < 2e-6);
  }
}

TEST_CASE("rows asked for are the rows of the whole", "[model]") {
  const auto g = golden("model/logits.safetensors");
  const auto model = tiny_llava();
  const at::NoGradGuard no_gradients;
  const auto input = packed_input({g.at("picture.ids"), g.at("text.ids")}, g.at("picture.pixels"));
  const auto rows = at::tensor({3, 11, 12, 18}, at::kLong);
  const auto all = model->forward(input), some = model->forward(input, rows);
  CHECK(difference(some, all.index_select(0, rows)) < 1e-6);
}

TEST_CASE("each picture fills its own slots", "[model]") {
  const auto g = golden("model/logits.safetensors");
  const auto model = tiny_llava();
  const auto ids = g.at("picture.ids"), first = g.at("picture.pixels"),
             second = drawn({1, 3, 8, 8}, 5);
  const auto alone = logits_of(*model, packed_input({ids}, second));
  const auto both = logits_of(*model, packed_input({ids, ids}, at::cat({first, second})));
  CHECK(difference(both.narrow(0, 0, 12), g.at("picture.logits")) < 2e-6);
  CHECK(difference(both.narrow(0, 12, 12), alone) < 2e-6);
  CHECK(difference(alone, g.at("picture.logits")) > 1e-2);
}

TEST_CASE("a recomputing decoder gives the same bits and keeps the gradients", "[model]") {
  const auto g = golden("model/logits.safetensors");
  const auto run = [&](bool recomputes) {
    const auto model = tiny_llava();
    model->language().recomputes_layers = recomputes;
    std::vector<at::Tensor> leaves;
    for (auto* linear : model->language().linears())
      leaves.push_back(linear->weight().requires_grad_(true));
    for (auto* linear : model->projector()->linears())
      leaves.push_back(linear->weight().requires_grad_(true));
    const auto input =
        packed_input({g.at("picture.ids"), g.at("text.ids")}, g.at("picture.pixels"));
    const auto hidden = model->forward(input, at::tensor({6, 7, 15}, at::kLong));
    torch::autograd::backward({hidden}, {drawn({3, 24}, 1)});
    std::vector<at::Tensor> out = {hidden.detach()};
    for (const auto& weight : leaves) out.push_back(weight.grad());
    return out;
  };
  const auto kept = run(false), again = run(true);
  REQUIRE(kept.size() == again.size());
  for (size_t i = 0; i < kept.size(); ++i) {
    INFO("tensor " << i);
    REQUIRE(kept[i].defined());
    CHECK(at::equal(kept[i], again[i]));
  }
}

TEST_CASE("the vision tower makes no gradients unless it trains", "[model]") {
  const auto g = golden("model/logits.safetensors");
  const auto model = tiny_llava();
  auto& in_vision = model->vision()->linears()[0]->weight().requires_grad_(true);
  auto& in_projector = model->projector()->linears()[0]->weight().requires_grad_(true);
  const auto input = packed_input({g.at("picture.ids")}, g.at("picture.pixels"));
  torch::autograd::backward({model->forward(input).sum()}, {});
  CHECK(in_projector.grad().defined());
  CHECK_FALSE(in_vision.grad().defined());
  model->trains_vision = true;
  torch::autograd::backward({model->forward(input).sum()}, {});
  REQUIRE(in_vision.grad().defined());
  CHECK(in_vision.grad().abs().max().item<float>() > 0);
}

}  // namespace finer
