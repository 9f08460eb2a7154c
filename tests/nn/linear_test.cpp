#include "finer/nn/linear.h"

#include "tests/tensors.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/allclose.h>
#include <catch2/catch.hpp>
#include <torch/csrc/autograd/autograd.h>

#include <numeric>

namespace finer {

namespace {

// Three projections of one input, the first and the last with an update of their own rank and
// scale.
struct Projections {
  explicit Projections(at::ScalarType dtype = at::kFloat, double dropout = 0, bool has_bias = true)
      : layer({{"q", 10}, {"k", 6}, {"v", 8}}, 12, has_bias, dtype) {
    layer.weight() = drawn({24, 12}, 1, dtype);
    if (has_bias) layer.bias() = drawn({24}, 2, dtype);
    const auto leaf_dtype = dtype == at::kDouble ? at::kDouble : at::kFloat;
    auto adapter = std::make_shared<Adapter>();
    adapter->A = leaf(drawn({5, 12}, 3, leaf_dtype));
    adapter->parts = {
        {.part = 0, .rank = 2, .scale = 0.5, .B = leaf(drawn({10, 2}, 4, leaf_dtype))},
        {.part = 2, .rank = 3, .scale = 2.0, .B = leaf(drawn({8, 3}, 5, leaf_dtype))}};
    adapter->dropout = dropout;
    adapter->id = "q;v;";
    layer.adapter() = adapter;
  }
  at::Tensor& A() { return layer.adapter()->A; }
  at::Tensor& B(size_t i) { return layer.adapter()->parts[i].B; }

  // The same by at::linear and low-rank sums.
  at::Tensor plain(const at::Tensor& x) {
    const auto y = at::linear(x, layer.weight(), layer.bias()).split_with_sizes({10, 6, 8}, -1);
    const auto q = y[0] + 0.5 * at::matmul(at::matmul(x, A().narrow(0, 0, 2).t()), B(0).t());
    const auto v = y[2] + 2.0 * at::matmul(at::matmul(x, A().narrow(0, 2, 3).t()), B(1).t());
    return at::cat({q, y[1], v}, -1);
  }

  Linear layer;
};

struct LinearGradients {
  at::Tensor y, dx, dA, dB0, dB1, dW, dbias;
};

LinearGradients gradients(Projections& p, const at::Tensor& x, const at::Tensor& dy,
                          bool is_plain) {
  for (auto* t : {&p.A(), &p.B(0), &p.B(1), &p.layer.weight(), &p.layer.bias()}) {
    t->mutable_grad() = at::Tensor();
  }
  const auto x_leaf = leaf(x);
  const auto y = is_plain ? p.plain(x_leaf) : p.layer.forward(x_leaf);
  torch::autograd::backward({y}, {dy});
  return {y.detach(),    x_leaf.grad(),           p.A().grad(),         p.B(0).grad(),
          p.B(1).grad(), p.layer.weight().grad(), p.layer.bias().grad()};
}

}  // namespace

TEST_CASE("a packed weight gives the plain product, with bias and adapter", "[nn]") {
  Linear layer({{"q", 300}, {"k", 200}}, 401, true, at::kFloat);
  layer.weight() = drawn({500, 401}, 1).mul(0.05);
  layer.bias() = drawn({500}, 2);
  auto adapter = std::make_shared<Adapter>();
  adapter->A = leaf(drawn({4, 401}, 3).mul(0.05));
  adapter->parts = {{.part = 1, .rank = 4, .scale = 2.0, .B = leaf(drawn({200, 4}, 4))}};
  const auto weight = layer.weight().clone();
  for (const bool has_adapter : {false, true}) {
    layer.adapter() = has_adapter ? adapter : nullptr;
    for (const int64_t T : {1, 7, 64}) {
      const auto x = drawn({T, 401}, 10 + static_cast<uint64_t>(T));
      layer.weight() = weight;
      const at::NoGradGuard no_gradients;
      const auto expected = layer.forward(x);
      Linear packed = layer;
      packed.pack();
      REQUIRE(!packed.weight().defined());
      CHECK(at::allclose(packed.forward(x), expected, 1e-5, 1e-5));
      CHECK(at::allclose(packed.forward(x.view({1, T, 401})), expected.unsqueeze(0), 1e-5, 1e-5));
    }
  }
}

TEST_CASE("what gains nothing by packing stays as it is", "[nn]") {
  Linear small({{"q", 10}}, 12, false, at::kFloat), other({{"q", 500}}, 500, false, at::kBFloat16);
  small.pack();
  other.pack();
  CHECK(small.weight().defined());
  CHECK(other.weight().defined());
}

TEST_CASE("a Linear with adapters equals at::linear and low-rank sums, gradients included",
          "[nn]") {
  Projections p;
  p.layer.weight().requires_grad_(true);
  p.layer.bias().requires_grad_(true);
  for (const int64_t rows : {1, 9, 200}) {
    INFO(rows << " rows");
    const auto x = drawn({rows, 12}, 6), dy = drawn({rows, 24}, 7);
    const auto a = gradients(p, x, dy, false), b = gradients(p, x, dy, true);
    // float32 sums of up to 200 terms in another order
    CHECK(difference(a.y, b.y) < 1e-6);
    CHECK(difference(a.dx, b.dx) < 2e-6);
    CHECK(difference(a.dA, b.dA) < 5e-6);
    CHECK(difference(a.dB0, b.dB0) < 5e-6);
    CHECK(difference(a.dB1, b.dB1) < 5e-6);
    CHECK(difference(a.dW, b.dW) < 5e-6);
    CHECK(difference(a.dbias, b.dbias) < 5e-6);
  }
}

TEST_CASE("a Linear's gradients match finite differences in float64", "[nn]") {
  Projections p(at::kDouble);
  p.layer.weight().requires_grad_(true);
  p.layer.bias().requires_grad_(true);
  const auto x = drawn({7, 12}, 6, at::kDouble), dy = drawn({7, 24}, 7, at::kDouble);
  const auto found = gradients(p, x, dy, false);
  const auto put_back = [](const at::Tensor& before, const auto& put) {
    const at::NoGradGuard no_gradients;
    put(before);
  };
  const auto check = [&](const at::Tensor& value, const at::Tensor& gradient, const auto& put) {
    const auto along = drawn(value.sizes(), 8, at::kDouble);
    const auto before = value.detach().clone();
    const auto total = [&](const at::Tensor& moved) {
      put(moved);
      return (p.layer.forward(x) * dy).sum();
    };
    const double expected = slope(total, before, along, 1e-4);
    put_back(before, put);
    CHECK((gradient * along).sum().item<double>() == Approx(expected).epsilon(1e-5));
  };
  const auto into = [](at::Tensor& slot) {
    return [&slot](const at::Tensor& moved) { slot.copy_(moved); };
  };
  check(p.A(), found.dA, into(p.A()));
  check(p.B(0), found.dB0, into(p.B(0)));
  check(p.B(1), found.dB1, into(p.B(1)));
  check(p.layer.weight(), found.dW, into(p.layer.weight()));
  check(p.layer.bias(), found.dbias, into(p.layer.bias()));
  const auto along = drawn({7, 12}, 9, at::kDouble);
  const double expected = slope(
      [&](const at::Tensor& moved) { return (p.layer.forward(moved) * dy).sum(); }, x, along, 1e-4);
  CHECK((found.dx * along).sum().item<double>() == Approx(expected).epsilon(1e-5));
}

TEST_CASE("a frozen Linear makes no gradient for its weight, and none for an input that wants none",
          "[nn]") {
  Projections p;
  const auto found = gradients(p, drawn({4, 12}, 6), drawn({4, 24}, 7), false);
  CHECK_FALSE(found.dW.defined());
  CHECK_FALSE(found.dbias.defined());
  CHECK(found.dx.defined());
  // the first layer's input: adapters learn all the same
  p.A().mutable_grad() = at::Tensor();
  torch::autograd::backward({p.layer.forward(drawn({4, 12}, 6)).sum()}, {});
  CHECK(p.A().grad().defined());
}

TEST_CASE("a Linear without adapters, and one in full tuning, equal at::linear", "[nn]") {
  for (const bool has_bias : {true, false}) {
    Projections p(at::kFloat, 0, has_bias);
    p.layer.adapter().reset();
    p.layer.weight().requires_grad_(true);
    const auto x = leaf(drawn({2, 3, 12}, 6)), dy = drawn({2, 3, 24}, 7);
    const auto y = p.layer.forward(x);
    torch::autograd::backward({y}, {dy});
    const auto dx = x.grad(), dW = p.layer.weight().grad();
    x.mutable_grad() = at::Tensor();
    p.layer.weight().mutable_grad() = at::Tensor();
    const auto expected = at::linear(x, p.layer.weight(), p.layer.bias());
    torch::autograd::backward({expected}, {dy});
    CHECK(difference(y, expected) < 1e-6);  // [..., in] keeps its leading axes
    CHECK(difference(dx, x.grad()) < 1e-6);
    CHECK(difference(dW, p.layer.weight().grad()) < 1e-6);
  }
}

TEST_CASE("a Linear takes rows and gradients that are strided or expanded", "[nn]") {
  Projections p;
  const auto x = drawn({12, 9}, 6).t();
  for (const auto& dy : {drawn({24, 9}, 7).t(), at::ones({1, 1}).expand({9, 24})}) {
    const auto a = gradients(p, x, dy, false), b = gradients(p, x, dy, true);
    CHECK(difference(a.y, b.y) < 1e-6);
    CHECK(difference(a.dx, b.dx) < 2e-6);
    CHECK(difference(a.dA, b.dA) < 2e-6);
    CHECK(difference(a.dB1, b.dB1) < 2e-6);
  }
}

TEST_CASE("a bfloat16 base with float32 adapters is close to float32", "[nn]") {
  Projections half(at::kBFloat16), full;
  const auto x = drawn({9, 12}, 6), dy = drawn({9, 24}, 7);
  const auto a = gradients(half, x.to(at::kBFloat16), dy.to(at::kBFloat16), false);
  const auto b = gradients(full, x, dy, true);
  CHECK(a.y.scalar_type() == at::kBFloat16);
  CHECK(a.dA.scalar_type() == at::kFloat);
  CHECK(a.dB0.scalar_type() == at::kFloat);
  CHECK(difference(a.y, b.y) < 0.02);
  CHECK(difference(a.dx, b.dx) < 0.02);
  CHECK(difference(a.dA, b.dA) < 0.02);
  CHECK(difference(a.dB1, b.dB1) < 0.02);
}

TEST_CASE("leaves are rounded once, and anew when they have changed", "[nn]") {
  const auto x = leaf(drawn({6, 5}, 1));
  const RoundedLeaf rounded;
  CHECK(rounded.of(x, at::kFloat).is_same(x));
  const at::NoGradGuard no_gradients;
  const auto* first = rounded.of(x, at::kBFloat16).const_data_ptr();
  CHECK(rounded.of(x, at::kBFloat16).const_data_ptr() == first);
  CHECK(at::equal(rounded.of(x, at::kBFloat16), x.to(at::kBFloat16)));
  const auto changed = [&] { return at::equal(rounded.of(x, at::kBFloat16), x.to(at::kBFloat16)); };
  x.narrow(0, 1, 2).add_(1);  // through a view, as Muon does
  CHECK(changed());
  const auto before = x.clone();
  x.mul_(0.5);
  CHECK(changed());
  x.copy_(before);  // as a checkpoint is read
  CHECK(changed());
  CHECK(rounded.of(x, at::kHalf).scalar_type() == at::kHalf);
  const auto other = x.mul(2);
  CHECK(at::equal(rounded.of(other, at::kBFloat16), other.to(at::kBFloat16)));
}

TEST_CASE("a dropout mask is a pure function of seed and layer", "[nn]") {
  Projections p(at::kFloat, 0.5);
  const auto x = drawn({50, 12}, 6);
  const auto out = [&](uint64_t seed) {
    const DropoutSeed scope(seed);
    return p.layer.forward(x).detach();
  };
  CHECK(at::equal(out(1), out(1)));
  CHECK_FALSE(at::equal(out(1), out(2)));
  CHECK(difference(out(0), p.plain(x)) < 1e-6);  // seed 0: evaluation
  const auto before = out(1);
  p.layer.adapter()->id = "another layer";
  CHECK_FALSE(at::equal(before, out(1)));
  CHECK(DropoutSeed::current() == 0);
}

TEST_CASE("dropout reaches the update's input only, keeps its mean, and its gradients fit the mask",
          "[nn]") {
  Projections p(at::kFloat, 0.25);
  const auto x = drawn({4000, 12}, 6), base = at::linear(x, p.layer.weight(), p.layer.bias());
  const DropoutSeed scope(7);
  const auto y = p.layer.forward(x).detach();
  CHECK(difference(y.narrow(1, 10, 6), base.narrow(1, 10, 6)) <
        1e-6);  // the part without an update

  // The update of ones through A = 1, B = 1: 12 entries of 0 or 1 / 0.75 a row.
  Projections counting(at::kFloat, 0.25);
  counting.layer.weight().zero_();
  counting.layer.bias().zero_();
  {
    const at::NoGradGuard no_gradients;
    counting.A().fill_(1);
    counting.B(0).fill_(1);
  }
  const auto sums = counting.layer.forward(at::ones({4000, 12})).select(1, 0).detach();
  CHECK(sums.mean().item<float>() == Approx(12).margin(0.15));  // 4 deviations of the mean
  const auto dropped = (12 - sums * 0.75).round();
  CHECK(difference(sums * 0.75, 12 - dropped) < 1e-6);
  CHECK((dropped.mean() / 12).item<float>() == Approx(0.25).margin(0.01));

  // gradients: linear in A and x, so the slope is exact for any step
  const auto rows = drawn({40, 12}, 6), dy = drawn({40, 24}, 7);
  const auto found = gradients(p, rows, dy, false);
  const auto along_A = drawn({5, 12}, 8), along_x = drawn({40, 12}, 9), A = p.A().detach().clone();
  const double by_A = slope(
      [&](const at::Tensor& moved) {
        p.A().copy_(moved);
        return (p.layer.forward(rows) * dy).sum(at::kDouble);
      },
      A, along_A, 1.0);
  {
    const at::NoGradGuard no_gradients;
    p.A().copy_(A);
  }
  CHECK((found.dA * along_A).sum().item<double>() == Approx(by_A).epsilon(1e-4));
  const double by_x =
      slope([&](const at::Tensor& moved) { return (p.layer.forward(moved) * dy).sum(at::kDouble); },
            rows, along_x, 1.0);
  CHECK((found.dx * along_x).sum().item<double>() == Approx(by_x).epsilon(1e-4));
}

TEST_CASE("each part of a Linear shows its own rows to checkpoints", "[nn]") {
  Projections p;
  std::vector<std::string> names;
  p.layer.visit_weights([&](const std::string& name, const at::Tensor& slot) {
    names.push_back(name);
    if (name == "k.weight") slot.fill_(3);
    if (name == "v.bias") slot.fill_(4);
  });
  CHECK(names ==
        std::vector<std::string>{"q.weight", "q.bias", "k.weight", "k.bias", "v.weight", "v.bias"});
  const auto rows = p.layer.weight().eq(3).all(1).nonzero().squeeze(1);
  CHECK(at::equal(rows, at::arange(10, 16)));
  CHECK(at::equal(p.layer.bias().eq(4).nonzero().squeeze(1), at::arange(16, 24)));
}

}  // namespace finer
