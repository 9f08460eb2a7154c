// Each kernel against its ATen twin on the same device, and against the twin in float64 on the CPU.
#include "finer/nn/cuda_ops.h"
#include "finer/nn/dropout.h"
#include "finer/nn/mlp.h"
#include "finer/nn/norm.h"
#include "finer/nn/rope.h"

#include <ATen/ATen.h>
#include <catch2/catch.hpp>

namespace {

const at::Device kDevice(at::kCUDA, 0);
const at::ScalarType kDtypes[] = {at::kFloat, at::kHalf, at::kBFloat16};

// Distance between neighbouring values near 1.
double spacing(at::ScalarType dtype) {
  return dtype == at::kFloat ? 1.2e-7 : dtype == at::kHalf ? 9.8e-4 : 7.9e-3;
}

at::Tensor made(at::IntArrayRef sizes, at::ScalarType dtype, int seed) {
  at::manual_seed(seed);
  return at::randn(sizes).to(kDevice, dtype);
}

// Largest difference over the largest value.
double off_by(const at::Tensor& found, const at::Tensor& expected) {
  const auto e = expected.to(at::kCPU, at::kDouble), f = found.to(at::kCPU, at::kDouble);
  REQUIRE(f.sizes() == e.sizes());
  REQUIRE(f.isfinite().all().item<bool>());
  return ((f - e).abs().max() / e.abs().max()).item<double>();
}

at::Tensor leaf(const at::Tensor& x) { return x.detach().clone().requires_grad_(true); }

#define REQUIRE_KERNELS() \
  if (!finer::has_cuda_kernels()) FAIL("a CUDA device is there, but finer/cuda was not built")

}  // namespace

TEST_CASE("swiglu's kernel equals its twin, forward and backward", "[gpu]") {
  REQUIRE_KERNELS();
  for (const auto dtype : kDtypes) {
    for (const int64_t F : {8, 13, 1376, 11008}) {  // 13: no row starts at 16 bytes
      INFO(at::toString(dtype) << " F " << F);
      const auto x = leaf(made({37, 2 * F}, dtype, 1)), twin = leaf(x);
      const auto grad = made({37, F}, dtype, 2);
      const auto out = finer::swiglu(x), expected = finer::swiglu_plain(twin);
      out.backward(grad);
      expected.backward(grad);
      CHECK(off_by(out, expected) <= 2 * spacing(dtype));
      CHECK(off_by(x.grad(), twin.grad()) <= 4 * spacing(dtype));
    }
  }
}

TEST_CASE("swiglu's kernel reads rows that lie apart", "[gpu]") {
  REQUIRE_KERNELS();
  const auto wide = made({9, 64 + 3}, at::kFloat, 3), x = wide.narrow(1, 1, 64);
  CHECK(off_by(finer::cuda_ops::swiglu(x), finer::swiglu_plain(x)) <= 1e-6);
}

TEST_CASE("RMSNorm's kernel equals its twin, forward and backward", "[gpu]") {
  REQUIRE_KERNELS();
  for (const auto dtype : kDtypes) {
    for (const bool is_float_weight : {false, true}) {
      for (const int64_t D : {8, 64, 100, 101, 4096, 5120}) {
        INFO(at::toString(dtype) << " D " << D << " float weight " << is_float_weight);
        const auto weight =
            (made({D}, at::kFloat, 4) * 0.1 + 1).to(is_float_weight ? at::kFloat : dtype);
        finer::RmsNorm norm("norm", D, 1e-5, weight.options());
        norm.weight().copy_(weight);
        const auto x = leaf(made({33, D}, dtype, 5)), twin = leaf(x);
        const auto grad = made({33, D}, dtype, 6);
        const auto out = norm.forward(x);
        CHECK(out.scalar_type() == dtype);
        const auto expected = finer::rms_norm_plain(twin, weight.to(dtype), 1e-5);
        out.backward(grad);
        CHECK(off_by(out, expected) <= 2 * spacing(dtype));
        // The gradient without the roundings in between.
        const auto exact = leaf(x.detach().to(at::kCPU, at::kDouble));
        const auto scaled = exact * at::rsqrt(exact.square().mean(-1, true) + 1e-5);
        (scaled * weight.to(at::kCPU, at::kDouble)).backward(grad.to(at::kCPU, at::kDouble));
        CHECK(off_by(x.grad(), exact.grad()) <= (dtype == at::kFloat ? 2e-6 : spacing(dtype)));
      }
    }
  }
}

TEST_CASE("RMSNorm's weight gets its gradient on CUDA", "[gpu]") {
  finer::RmsNorm norm("norm", 64, 1e-5, at::TensorOptions(kDevice).dtype(at::kFloat));
  norm.weight().fill_(1.5).requires_grad_(true);
  const auto x = made({33, 64}, at::kFloat, 7), grad = made({33, 64}, at::kFloat, 8);
  const auto twin = leaf(norm.weight());
  norm.forward(x).backward(grad);
  finer::rms_norm_plain(x, twin, 1e-5).backward(grad);
  CHECK(off_by(norm.weight().grad(), twin.grad()) <= 1e-5);
}

TEST_CASE("the rotary kernel turns the leading heads in place and leaves the rest", "[gpu]") {
  REQUIRE_KERNELS();
  for (const auto dtype : kDtypes) {
    for (const int64_t C : {6, 16, 64, 128}) {
      INFO(at::toString(dtype) << " C " << C);
      constexpr int64_t kHeads = 5, kRest = 2, kRows = 41;
      const auto x = made({kRows, (kHeads + kRest) * C}, dtype, 9), before = x.clone();
      const auto angles = made({kRows, C / 2}, at::kFloat, 10), cos = angles.cos(),
                 sin = angles.sin();
      const auto heads = before.narrow(1, 0, kHeads * C).view({kRows, kHeads, C});
      finer::rotate_heads_(x, kHeads, cos, sin, +1);
      const auto turned = x.narrow(1, 0, kHeads * C).view({kRows, kHeads, C});
      CHECK(off_by(turned, finer::rotate_plain(heads, cos, sin)) <= spacing(dtype));
      CHECK(x.narrow(1, kHeads * C, kRest * C).equal(before.narrow(1, kHeads * C, kRest * C)));
      finer::rotate_heads_(x, kHeads, cos, sin, -1);
      CHECK(off_by(x, before) <= 2 * spacing(dtype));
    }
  }
}

TEST_CASE("the card drops what the CPU drops", "[gpu]") {
  REQUIRE_KERNELS();
  for (const auto dtype : kDtypes) {
    for (const int64_t D : {7, 64, 4096}) {
      const auto x = made({37, D}, dtype, 13);
      const auto found = finer::drop(x, 0.3, 5, "layer");
      CHECK(found.cpu().equal(finer::drop(x.cpu(), 0.3, 5, "layer")));
    }
  }
}

TEST_CASE("kernels take no rows at all", "[gpu]") {
  REQUIRE_KERNELS();
  const auto none = made({0, 16}, at::kBFloat16, 11), row = made({16}, at::kBFloat16, 12);
  CHECK(finer::cuda_ops::swiglu(none).sizes() == at::IntArrayRef({0, 8}));
  CHECK(std::get<0>(finer::cuda_ops::rms_norm(none, row, 1e-5)).sizes() ==
        at::IntArrayRef({0, 16}));
}
