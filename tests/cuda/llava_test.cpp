// Attention and a whole small model on the device against the same on the CPU in float32.
#include "finer/model/llava.h"

#include "finer/model/load.h"
#include "finer/nn/attention.h"
#include "finer/nn/rope.h"

#include <ATen/ATen.h>
#include <catch2/catch.hpp>

namespace {

const at::Device kCuda(at::kCUDA, 0);

double apart(const at::Tensor& found, const at::Tensor& expected) {
  const auto e = expected.to(at::kCPU, at::kDouble), f = found.to(at::kCPU, at::kDouble);
  REQUIRE(f.sizes() == e.sizes());
  REQUIRE(f.isfinite().all().item<bool>());
  return ((f - e).norm() / e.norm()).item<double>();
}

finer::LlavaConfig small_config() {
  finer::LlavaConfig config;
  config.vision.width = 32;
  config.vision.mlp_width = 64;
  config.vision.num_layers = 3;
  config.vision.num_heads = 2;
  config.vision.image_side_px = 28;
  config.vision.patch_side_px = 14;
  config.language.vocab_size = 96;
  config.language.width = 64;
  config.language.mlp_width = 160;
  config.language.num_layers = 3;
  config.language.num_heads = 4;
  config.language.num_kv_heads = 2;
  config.language.head_size = 16;
  config.language.max_positions = 128;
  return config;
}

// Hidden states of two packed sequences with a picture each, and the gradient of one weight.
struct Result {
  at::Tensor hidden, grad;
};

Result run_model(at::Device device, at::ScalarType dtype) {
  const auto config = small_config();
  finer::Llava model(config, at::TensorOptions(device).dtype(dtype));
  finer::init_weights(model, 17);
  at::manual_seed(5);
  const int64_t P = config.image_positions();
  const auto ids = at::randint(0, 96, {40}, at::kLong);
  const auto pixels = at::randn({2, 3, 28, 28});
  const auto slots = at::cat({at::arange(3, 3 + P), at::arange(20, 20 + P)});
  finer::LlavaInput input{ids.to(device), slots.to(device), pixels.to(device, dtype),
                          finer::Packing::from_bounds({0, 17, 40}, device)};
  auto& weight = model.language().linears().front()->weight();
  weight = weight.to(at::kFloat)
               .detach()
               .requires_grad_(true);  // what trains is float32, and cast at use
  const auto hidden = model.forward(input);
  at::manual_seed(6);
  hidden.backward(at::randn(hidden.sizes()).to(device, dtype));
  return {hidden.detach(), weight.grad()};
}

}  // namespace

TEST_CASE("packed attention by the flash kernel equals plain attention", "[gpu]") {
  for (const auto dtype : {at::kHalf, at::kBFloat16}) {
    for (const int64_t K : {4, 2, 1}) {
      for (const int64_t C : {16, 64, 128}) {
        for (const auto& bounds : {std::vector<int64_t>{0, 1, 9, 140}, {0, 64}, {0, 1, 2, 3}}) {
          INFO(at::toString(dtype) << " K " << K << " C " << C << " T " << bounds.back());
          const finer::AttentionConfig config{
              .width = 4 * C, .num_heads = 4, .num_kv_heads = K, .head_size = C};
          const int64_t T = bounds.back();
          const auto on_cpu = finer::Packing::from_bounds(bounds, at::kCPU);
          const auto on_cuda = finer::Packing::from_bounds(bounds, kCuda);
          at::manual_seed(1);
          const auto given = at::randn({T, (4 + 2 * K) * C}).to(dtype),
                     grad = at::randn({T, 4 * C}).to(dtype);
          finer::Rope rope({.head_size = C, .max_positions = 256}, at::kCPU);
          const auto [cos, sin] = rope.rows(on_cpu.positions_T, on_cpu.max_length);
          const auto expected_in = given.to(at::kFloat).requires_grad_(true);
          const auto expected = finer::attend_plain(expected_in, {cos, sin}, on_cpu, config);
          expected.backward(grad.to(at::kFloat));
          const auto leaf = given.to(kCuda).requires_grad_(true);
          const auto found =
              finer::attend_packed(leaf * 1, {cos.to(kCuda), sin.to(kCuda)}, on_cuda, config);
          found.backward(grad.to(kCuda));
          const double tolerance = dtype == at::kHalf ? 2e-3 : 1.5e-2;
          CHECK(apart(found, expected) < tolerance);
          CHECK(apart(leaf.grad(), expected_in.grad()) < 2 * tolerance);
        }
      }
    }
  }
}

TEST_CASE("a small LLaVA on CUDA gives what it gives on the CPU", "[gpu]") {
  const auto expected = run_model(at::kCPU, at::kFloat);
  const auto in_float = run_model(kCuda, at::kFloat);
  CHECK(apart(in_float.hidden, expected.hidden) < 1e-5);
  CHECK(apart(in_float.grad, expected.grad) < 1e-4);
  // 8 bits of fraction through three layers: about a percent.
  const auto in_bfloat16 = run_model(kCuda, at::kBFloat16);
  CHECK(apart(in_bfloat16.hidden, expected.hidden) < 3e-2);
  CHECK(apart(in_bfloat16.grad, expected.grad) < 6e-2);
  const auto in_half = run_model(kCuda, at::kHalf);
  CHECK(apart(in_half.hidden, expected.hidden) < 5e-3);
  CHECK(apart(in_half.grad, expected.grad) < 1e-2);
}
