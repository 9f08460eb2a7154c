#include "finer/nn/norm.h"

#include "tests/tensors.h"

#include <catch2/catch.hpp>
#include <torch/csrc/autograd/autograd.h>

#include <functional>

namespace finer {

namespace {

RmsNorm norm_of(const at::Tensor& weight) {
  RmsNorm norm("norm", weight.size(0), 1e-5, weight.options());
  norm.weight() = weight;
  return norm;
}

struct NormGradients {
  at::Tensor y, dx, dw;
};

NormGradients through(
    const std::function<at::Tensor(const at::Tensor&, const at::Tensor&)>& forward,
    const at::Tensor& x, const at::Tensor& w, const at::Tensor& dy) {
  const auto x_leaf = leaf(x), w_leaf = leaf(w);
  const auto y = forward(x_leaf, w_leaf);
  torch::autograd::backward({y}, {dy});
  return {y.detach(), x_leaf.grad(), w_leaf.grad()};
}

at::Tensor fast(const at::Tensor& x, const at::Tensor& w) { return norm_of(w).forward(x); }
at::Tensor plain(const at::Tensor& x, const at::Tensor& w) { return rms_norm_plain(x, w, 1e-5); }

}  // namespace

// Tolerances: float32 sums of 24 terms in another order.
TEST_CASE("RMSNorm and its gradients are transformers'", "[nn]") {
  const auto g = golden("nn/norm.safetensors");
  const auto found = through(fast, g.at("x"), g.at("weight"), g.at("dy"));
  CHECK(difference(found.y, g.at("y")) < 1e-6);
  CHECK(difference(found.dx, g.at("dx")) < 1e-6);
  CHECK(difference(found.dw, g.at("d_weight")) < 1e-6);
}

TEST_CASE("fast RMSNorm equals its plain twin, gradients included", "[nn]") {
  // 3 and 67 do not fill a vector register; 300 rows go to several threads
  for (const int64_t width : {3, 8, 67, 256}) {
    for (const int64_t rows : {1, 300}) {
      INFO(rows << " rows of " << width);
      const auto x = drawn({rows, width}, 1), w = drawn({width}, 2), dy = drawn({rows, width}, 3);
      const auto a = through(fast, x, w, dy), b = through(plain, x, w, dy);
      CHECK(difference(a.y, b.y) < 1e-6);
      CHECK(difference(a.dx, b.dx) < 1e-5);
      CHECK(difference(a.dw, b.dw) < 1e-5);
    }
  }
}

TEST_CASE("RMSNorm of rows that do not lie one after the other is the same", "[nn]") {
  const auto wide = drawn({6, 40}, 1), w = drawn({24}, 2), dy = drawn({6, 24}, 3);
  const auto x = wide.narrow(1, 8, 24);
  CHECK(difference(norm_of(w).forward(x), plain(x, w)) < 1e-6);
  // a gradient that was transposed or expanded on its way
  const auto a = through(fast, x.contiguous(), w, dy.t().contiguous().t());
  const auto b = through(plain, x.contiguous(), w, dy);
  CHECK(difference(a.dx, b.dx) < 1e-6);
  CHECK(difference(a.dw, b.dw) < 1e-6);
}

TEST_CASE("RMSNorm changes neither its input nor the gradient that it is given", "[nn]") {
  for (const bool is_contiguous : {true, false}) {
    const auto wide = drawn({5, 40}, 1);
    const auto x = is_contiguous ? wide.narrow(1, 0, 24).contiguous() : wide.narrow(1, 8, 24);
    const auto w = drawn({24}, 2), dy = drawn({5, 24}, 3);
    const auto x_before = x.clone(), dy_before = dy.clone();
    const auto x_leaf = x.detach().requires_grad_(true), w_leaf = leaf(w);
    torch::autograd::backward({fast(x_leaf, w_leaf)}, {dy});
    CHECK(at::equal(x, x_before));
    CHECK(at::equal(dy, dy_before));
    const auto expected = through(plain, x, w, dy);
    CHECK(difference(x_leaf.grad(), expected.dx) < 1e-5);
    CHECK(difference(w_leaf.grad(), expected.dw) < 1e-5);
  }
}

TEST_CASE("RMSNorm in bfloat16 rounds where transformers rounds", "[nn]") {
  const auto x = drawn({5, 32}, 1, at::kBFloat16), w = drawn({32}, 2, at::kBFloat16);
  CHECK(at::equal(norm_of(w).forward(x), plain(x, w)));
  const auto dy = drawn({5, 32}, 3, at::kBFloat16);
  const auto a = through(fast, x, w, dy), b = through(plain, x, w, dy);
  CHECK(difference(a.dx, b.dx) < 0.02);  // the twin rounds in between, to 8 bits
  CHECK(difference(a.dw, b.dw) < 0.02);
}

TEST_CASE("RMSNorm's gradient is the slope of its value", "[nn]") {
  const auto x = drawn({3, 16}, 1), w = drawn({16}, 2), dy = drawn({3, 16}, 3);
  const auto a = through(fast, x, w, dy);
  const auto along = drawn({3, 16}, 4);
  const double found = (a.dx * along).sum().item<double>();
  const double expected =
      slope([&](const at::Tensor& moved) { return (fast(moved, w) * dy).sum(at::kDouble); }, x,
            along, 1e-3);
  CHECK(found == Approx(expected).epsilon(1e-3));  // the norm is computed in float32
}

TEST_CASE("RMSNorm names its weight for checkpoints", "[nn]") {
  const RmsNorm norm("language_model.norm", 4, 1e-5, at::kFloat);
  std::vector<std::string> names;
  norm.visit_weights([&](const std::string& name, const at::Tensor&) { names.push_back(name); });
  CHECK(names == std::vector<std::string>{"language_model.norm.weight"});
}

TEST_CASE("LayerNorm's gradients match finite differences in float64", "[nn]") {
  LayerNorm norm("norm", 12, 1e-5, at::kDouble);
  norm.weight() = leaf(drawn({12}, 1, at::kDouble));
  norm.bias() = leaf(drawn({12}, 2, at::kDouble));
  const auto x = leaf(drawn({4, 12}, 3, at::kDouble)), dy = drawn({4, 12}, 4, at::kDouble);
  torch::autograd::backward({norm.forward(x)}, {dy});
  const auto along = drawn({4, 12}, 5, at::kDouble);
  const double expected = slope(
      [&](const at::Tensor& moved) { return (norm.forward(moved) * dy).sum(); }, x, along, 1e-5);
  CHECK((x.grad() * along).sum().item<double>() == Approx(expected).epsilon(1e-7));
  CHECK(difference(norm.bias().grad(), dy.sum(0)) < 1e-12);
}

}  // namespace finer
