#include "finer/nn/recompute.h"

#include "finer/nn/linear.h"
#include "tests/tensors.h"

#include <catch2/catch.hpp>
#include <torch/csrc/autograd/autograd.h>

namespace finer {

namespace {

// A layer with an adapter and dropout, and how often it ran.
struct Layer {
  Layer() : linear({{"layer", 8}}, 8, false, at::kFloat) {
    linear.weight() = drawn({8, 8}, 1);
    auto adapter = std::make_shared<Adapter>();
    adapter->A = leaf(drawn({2, 8}, 2));
    adapter->parts = {{.part = 0, .rank = 2, .scale = 1.0, .B = leaf(drawn({8, 2}, 3))}};
    adapter->dropout = 0.3;
    adapter->id = "layer;";
    linear.adapter() = adapter;
  }
  at::Tensor operator()(const at::Tensor& x) {
    ++runs;
    return at::silu(linear.forward(x));
  }
  Linear linear;
  int runs = 0;
};

Tensors pass(bool recomputes, bool x_trains) {
  Layer layer;
  const auto x = drawn({5, 8}, 4).requires_grad_(x_trains);
  at::Tensor y;
  {
    const DropoutSeed masks(11);
    const auto body = [&](const at::Tensor& in) { return layer(in); };
    y = recomputes ? recompute(body, x) : body(x);
  }
  // the seed has changed by the time of the backward pass
  const DropoutSeed others(99);
  torch::autograd::backward({y}, {drawn({5, 8}, 5)});
  CHECK(layer.runs == (recomputes ? 2 : 1));
  return {{"y", y.detach()},
          {"A", layer.linear.adapter()->A.grad()},
          {"B", layer.linear.adapter()->parts[0].B.grad()},
          {"x", x_trains ? x.grad() : at::zeros({1})}};
}

}  // namespace

TEST_CASE("a recomputed layer gives the same bits, with dropout on", "[nn]") {
  for (const bool x_trains : {true, false}) {
    const auto kept = pass(false, x_trains), again = pass(true, x_trains);
    for (const auto& [name, value] : kept) {
      INFO(name);
      CHECK(at::equal(value, again.at(name)));
    }
  }
}

TEST_CASE("nothing is recomputed without gradients", "[nn]") {
  Layer layer;
  const at::NoGradGuard no_gradients;
  const auto y = recompute([&](const at::Tensor& x) { return layer(x); }, drawn({2, 8}, 4));
  CHECK(layer.runs == 1);
  CHECK_FALSE(y.requires_grad());
}

TEST_CASE("gradients of a recomputed layer are added to what is there", "[nn]") {
  Layer layer;
  const auto run = [&] {
    const auto y = recompute([&](const at::Tensor& x) { return layer(x); }, drawn({2, 8}, 4));
    torch::autograd::backward({y.sum()}, {});
  };
  run();
  const auto once = layer.linear.adapter()->A.grad().clone();
  run();
  CHECK(at::equal(layer.linear.adapter()->A.grad(), once * 2));
}

}  // namespace finer
