#include "finer/train/loss.h"

#include "tests/tensors.h"

#include <catch2/catch.hpp>
#include <torch/csrc/autograd/autograd.h>

#include <functional>

namespace finer {

namespace {

struct LossGradients {
  at::Tensor loss, d_hidden, d_head;
};

using Loss = std::function<at::Tensor(const at::Tensor& hidden, const at::Tensor& head)>;

LossGradients through(const Loss& loss, const at::Tensor& hidden, const at::Tensor& head,
                      double upstream = 1) {
  const auto h = leaf(hidden), W = leaf(head);
  const auto value = loss(h, W);
  torch::autograd::backward({value * upstream}, {});
  return {value.detach(), h.grad(), W.grad()};
}

struct Case {
  at::Tensor hidden = drawn({10, 16}, 1), head = drawn({37, 16}, 2);
  at::Tensor targets = at::tensor({0, 36, 5, 5, 9, 1, 20, 30, 0, 7}, at::kLong);
  at::Tensor weights = drawn({10}, 3).abs();
};

}  // namespace

// Tolerances: float32 sums of 50 exponentials in another order.
TEST_CASE("the loss over target positions and its gradients are torch's cross entropy", "[train]") {
  const auto g = golden("train/loss.safetensors");
  const auto found = through(
      [&](const at::Tensor& h, const at::Tensor& W) {
        return head_loss(h, W, g.at("targets"), g.at("weights"), 4);
      },
      g.at("hidden"), g.at("head"));
  CHECK(difference(found.loss, g.at("loss")) < 1e-6);
  CHECK(difference(found.d_hidden, g.at("d_hidden")) < 2e-6);
  CHECK(difference(found.d_head, g.at("d_head")) < 2e-6);
}

TEST_CASE("the chunked loss equals its plain twin, whatever the chunk, gradients included",
          "[train]") {
  const Case c;
  const auto expected =
      through([&](const at::Tensor& h,
                  const at::Tensor& W) { return head_loss_plain(h, W, c.targets, c.weights); },
              c.hidden, c.head, 2.5);
  for (const int64_t chunk : {1, 3, 10, 1000}) {
    INFO("chunks of " << chunk);
    const auto found =
        through([&](const at::Tensor& h,
                    const at::Tensor& W) { return head_loss(h, W, c.targets, c.weights, chunk); },
                c.hidden, c.head, 2.5);
    CHECK(difference(found.loss, expected.loss) < 1e-6);
    CHECK(difference(found.d_hidden, expected.d_hidden) < 2e-6);
    CHECK(difference(found.d_head, expected.d_head) < 2e-6);
  }
}

TEST_CASE("a frozen head gets no gradient, and nothing gets one without need", "[train]") {
  const Case c;
  const auto h = leaf(c.hidden);
  torch::autograd::backward({head_loss(h, c.head, c.targets, c.weights, 4)}, {});
  CHECK(h.grad().defined());
  CHECK_FALSE(c.head.grad().defined());
  CHECK_FALSE(head_loss(c.hidden, c.head, c.targets, c.weights, 4).requires_grad());
  const at::NoGradGuard no_gradients;
  CHECK_FALSE(head_loss(h, c.head, c.targets, c.weights, 4).requires_grad());
}

TEST_CASE("the loss's gradient is the slope of its value", "[train]") {
  const Case c;
  const auto found =
      through([&](const at::Tensor& h,
                  const at::Tensor& W) { return head_loss(h, W, c.targets, c.weights, 4); },
              c.hidden, c.head);
  const auto along = drawn({10, 16}, 4);
  const double expected = slope(
      [&](const at::Tensor& moved) { return head_loss(moved, c.head, c.targets, c.weights, 4); },
      c.hidden, along, 1e-2);
  CHECK((found.d_hidden * along).sum().item<double>() ==
        Approx(expected).epsilon(1e-3));  // float32
}

TEST_CASE("huge logits give a finite loss, and a target without weight none", "[train]") {
  Case c;
  c.weights.zero_();
  c.weights[3] = 1;
  const auto found =
      through([&](const at::Tensor& h,
                  const at::Tensor& W) { return head_loss(h, W, c.targets, c.weights, 4); },
              c.hidden * 1e4, c.head);
  CHECK(found.loss.isfinite().item<bool>());
  CHECK(found.d_head.isfinite().all().item<bool>());
  CHECK(found.d_hidden.select(0, 2).abs().max().item<float>() == 0);
}

TEST_CASE("in bfloat16 the softmax is still float32", "[train]") {
  const Case c;
  const auto run = [&](at::ScalarType dtype) {
    return through(
        [&](const at::Tensor& h, const at::Tensor& W) {
          return dtype == at::kFloat ? head_loss_plain(h, W, c.targets, c.weights)
                                     : head_loss(h.to(dtype), W, c.targets, c.weights, 3);
        },
        c.hidden.to(at::kBFloat16).to(at::kFloat), c.head.to(at::kBFloat16).to(at::kFloat));
  };
  const auto half = run(at::kBFloat16), full = run(at::kFloat);
  CHECK(half.loss.scalar_type() == at::kFloat);
  CHECK(difference(half.loss, full.loss) < 0.01);  // logits have 8 bits
  CHECK(difference(half.d_hidden, full.d_hidden) < 0.02);
  CHECK(difference(half.d_head, full.d_head) < 0.02);
}

}  // namespace finer
