#include "finer/nn/mlp.h"

#include "tests/tensors.h"

#include <catch2/catch.hpp>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <functional>
#include <limits>

namespace finer {

namespace {

struct Passed {
  at::Tensor y, dx;
};

Passed through(const std::function<at::Tensor(const at::Tensor&)>& forward, const at::Tensor& x,
               const at::Tensor& dy) {
  const auto x_leaf = leaf(x);
  const auto y = forward(x_leaf);
  torch::autograd::backward({y}, {dy});
  return {y.detach(), x_leaf.grad()};
}

}  // namespace

// Tolerances: float32 sums of 40 terms in another order.
TEST_CASE("the gated MLP and its gradients are transformers'", "[nn]") {
  const auto g = golden("nn/mlp.safetensors");
  GatedMlp mlp("mlp", 24, 40, at::kFloat);
  const auto fill = [&](const std::string& name, const at::Tensor& slot) {
    slot.copy_(g.at(name.substr(4)));
  };
  mlp.gate_up_proj.visit_weights(fill);
  mlp.down_proj.visit_weights(fill);
  mlp.gate_up_proj.weight().requires_grad_(true);
  mlp.down_proj.weight().requires_grad_(true);
  const auto found =
      through([&](const at::Tensor& x) { return mlp.forward(x); }, g.at("x"), g.at("dy"));
  CHECK(difference(found.y, g.at("y")) < 1e-6);
  CHECK(difference(found.dx, g.at("dx")) < 2e-6);
  const auto d_gate_up = mlp.gate_up_proj.weight().grad();
  CHECK(difference(d_gate_up.narrow(0, 0, 40), g.at("d_gate_proj.weight")) < 2e-6);
  CHECK(difference(d_gate_up.narrow(0, 40, 40), g.at("d_up_proj.weight")) < 2e-6);
  CHECK(difference(mlp.down_proj.weight().grad(), g.at("d_down_proj.weight")) < 2e-6);
}

TEST_CASE("fast SwiGLU is exact to float32 at every size of gate, and passes non-finite on",
          "[nn]") {
  // The reciprocal is a few units out, and exp by 2e-9 for each doubling, so the relative error
  // grows with the gate.
  const float range = GENERATE(20.0F, 120.0F);
  const double bound = range > 20 ? 4e-6 : 2e-6;
  const auto gate = at::linspace(-range, range, 4801, at::kFloat).view({-1, 1});
  const auto x = at::cat({gate, at::ones_like(gate)}, 1);
  const auto wide = x.to(at::kDouble);
  const auto a = through(swiglu, x, at::ones_like(gate));
  const auto b = through(swiglu_plain, wide, at::ones_like(gate).to(at::kDouble));
  const auto near = [](const at::Tensor& found, const at::Tensor& exact) {
    const auto gap = (found.to(at::kDouble) - exact).abs() / exact.abs().clamp_min(1e-20);
    return gap.max().item<double>();
  };
  CHECK(near(a.y, b.y) < bound);
  CHECK(near(a.dx.narrow(1, 1, 1), b.dx.narrow(1, 1, 1)) < bound);
  CHECK(difference(a.dx, b.dx.to(at::kFloat)) < 1e-6);
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    CHECK(!std::isfinite(swiglu(at::tensor({bad, 1.0F}).view({1, 2})).item<float>()));
    CHECK(!std::isfinite(swiglu(at::tensor({1.0F, bad}).view({1, 2})).item<float>()));
  }
}

TEST_CASE("fast SwiGLU equals its plain twin, gradients included", "[nn]") {
  for (const int64_t width : {1, 40, 333}) {
    for (const int64_t rows : {1, 200}) {
      INFO(rows << " rows of " << width);
      const auto x = drawn({rows, 2 * width}, 1) * 4, dy = drawn({rows, width}, 2);
      const auto a = through(swiglu, x, dy), b = through(swiglu_plain, x, dy);
      CHECK(difference(a.y, b.y) < 1e-6);
      CHECK(difference(a.dx, b.dx) < 1e-6);
    }
  }
  const auto x = drawn({9, 64}, 1, at::kBFloat16), dy = drawn({9, 32}, 2, at::kBFloat16);
  const auto a = through(swiglu, x, dy), b = through(swiglu_plain, x, dy);
  CHECK(difference(a.y, b.y) < 0.01);  // bfloat16 has 8 bits, and the twins round at other places
  CHECK(difference(a.dx, b.dx) < 0.01);
}

TEST_CASE("SwiGLU stays finite where its gate is far off zero", "[nn]") {
  const auto x = at::tensor({-200.0F, 200.0F, -1e4F, 1e4F}).repeat({2}).view({1, 8});
  const auto found = through(swiglu, x, at::ones({1, 4}));
  CHECK(found.y.isfinite().all().item<bool>());
  CHECK(found.dx.isfinite().all().item<bool>());
}

TEST_CASE("SwiGLU's gradient matches finite differences in float64", "[nn]") {
  const auto x = drawn({3, 14}, 1, at::kDouble), dy = drawn({3, 7}, 2, at::kDouble);
  const auto along = drawn({3, 14}, 3, at::kDouble);
  const auto found = through(swiglu, x, dy);
  const double expected =
      slope([&](const at::Tensor& moved) { return (swiglu(moved) * dy).sum(); }, x, along, 1e-5);
  CHECK((found.dx * along).sum().item<double>() == Approx(expected).epsilon(1e-7));
}

TEST_CASE("quick GELU is x times sigmoid of 1.702 x", "[nn]") {
  const auto x = at::tensor({-2.0, 0.0, 0.5, 3.0}, at::kDouble);
  const auto y = quick_gelu(x);
  for (int64_t i = 0; i < 4; ++i) {
    const double v = x[i].item<double>();
    CHECK(y[i].item<double>() == Approx(v / (1 + std::exp(-1.702 * v))).margin(1e-12));
  }
}

}  // namespace finer
