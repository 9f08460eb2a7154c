#include "finer/nn/dropout.h"

#include "tests/tensors.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <catch2/catch.hpp>

#include <cmath>

namespace finer {

namespace {

// 1 where dropped, [T, D] float32.
at::Tensor mask(double rate, uint64_t seed, const std::string& id, int64_t T = 500,
                int64_t D = 401) {
  return drop(at::ones({T, D}), rate, seed, id).eq(0).to(at::kFloat);
}

// Of two masks, or of places of one; independent ones give about 1 / sqrt(200,000).
double correlation(const at::Tensor& a, const at::Tensor& b) {
  const auto x = a - a.mean(), y = b - b.mean();
  return (x * y).mean().item<double>() /
         (x.square().mean() * y.square().mean()).sqrt().item<double>();
}

constexpr double kChance = 0.012;  // five deviations

}  // namespace

TEST_CASE("as many are dropped as asked, and what is kept is scaled", "[nn]") {
  for (const double rate : {0.05, 0.1, 0.5, 0.9}) {
    const auto y = drop(at::ones({500, 401}), rate, 7, "layer");
    const double deviation = std::sqrt(rate * (1 - rate) / (500 * 401));
    CHECK(y.eq(0).to(at::kDouble).mean().item<double>() == Approx(rate).margin(5 * deviation));
    CHECK(difference(y.mul(1 - rate), y.ne(0).to(at::kFloat)) < 1e-6);
  }
}

TEST_CASE("masks of rows, columns, layers and seeds are independent", "[nn]") {
  const auto m = mask(0.5, 7, "layer");
  CHECK(std::abs(correlation(m, mask(0.5, 8, "layer"))) < kChance);
  CHECK(std::abs(correlation(m, mask(0.5, 7, "other layer"))) < kChance);
  for (const int64_t apart : {1, 2, 8, 16, 100}) {
    CHECK(std::abs(correlation(m.narrow(0, 0, 400), m.narrow(0, apart, 400))) < kChance);
    CHECK(std::abs(correlation(m.narrow(1, 0, 300), m.narrow(1, apart, 300))) < kChance);
  }
  // no row or column is dropped much more often than another
  CHECK(m.mean(0).sub(0.5).abs().max().item<double>() < 0.5 * 5 / std::sqrt(500));
  CHECK(m.mean(1).sub(0.5).abs().max().item<double>() < 0.5 * 5 / std::sqrt(401));
}

TEST_CASE("dtype, threads and layout change no mask", "[nn]") {
  const auto x = drawn({60, 33}, 3);
  const auto expected = drop(x, 0.3, 5, "layer");
  const auto dropped = expected.eq(0);
  for (const auto dtype : {at::kBFloat16, at::kHalf, at::kDouble})
    CHECK(at::equal(drop(x.to(dtype), 0.3, 5, "layer").eq(0), dropped));
  CHECK(at::equal(drop(x.t().contiguous().t(), 0.3, 5, "layer"), expected));
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto alone = mask(0.3, 5, "layer");
  at::set_num_threads(2);
  CHECK(at::equal(mask(0.3, 5, "layer"), alone));
  at::set_num_threads(threads);
}

}  // namespace finer
