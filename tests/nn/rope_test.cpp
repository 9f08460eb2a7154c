#include "finer/nn/rope.h"

#include "tests/tensors.h"

#include <catch2/catch.hpp>

namespace finer {

namespace {

RopeConfig rope_kind(const std::string& kind) {
  RopeConfig config;
  config.head_size = 16;
  config.max_positions = 64;
  config.scaling = kind;
  if (kind == "linear") config.factor = 4;
  if (kind == "llama3") {
    config.theta = 500000;
    config.factor = 8;
    config.original_positions = 512;
  }
  return config;
}

}  // namespace

// Tolerance: both libraries form the same float32 angles and agree to a rounding of sin and cos.
// Only llama3's smoothed frequencies are made in double here and in float32 there: position 5000
// times a rounding.
TEST_CASE("rotary tables are transformers': none, linear and llama3", "[nn]") {
  const auto g = golden("nn/rope.safetensors");
  for (const std::string kind : {"none", "linear", "llama3"}) {
    INFO(kind);
    const double tolerance = kind == "llama3" ? 3e-5 : 1e-6;
    Rope rope(rope_kind(kind), at::kCPU);
    const auto [cos, sin] = rope.rows(g.at("positions"), 5001);
    CHECK(difference(cos, g.at(kind + ".cos")) < tolerance);
    CHECK(difference(sin, g.at(kind + ".sin")) < tolerance);
    CHECK(difference(rotate_plain(g.at("q"), cos, sin), g.at(kind + ".rotated")) < tolerance);
  }
}

TEST_CASE("llama3 stretches low frequencies only, and not the same as linear", "[nn]") {
  const auto positions = at::arange(64);
  Rope plain(rope_kind("none"), at::kCPU), linear(rope_kind("linear"), at::kCPU);
  auto config = rope_kind("llama3");
  config.theta = 10000;
  Rope llama3(config, at::kCPU);
  const auto a = plain.rows(positions, 64).second, b = llama3.rows(positions, 64).second;
  CHECK(at::equal(a.select(1, 0), b.select(1, 0)));           // highest frequency: untouched
  CHECK_FALSE(at::allclose(a.select(1, 7), b.select(1, 7)));  // lowest: stretched
  CHECK(difference(linear.rows(positions * 4, 256).second, a) < 1e-6);
}

TEST_CASE("tables grow for a longer sequence and keep their rows", "[nn]") {
  auto config = rope_kind("none");
  config.max_positions = 8;
  Rope rope(config, at::kCPU), large(rope_kind("none"), at::kCPU);
  const auto first = rope.rows(at::arange(8), 8).first;
  const auto later = rope.rows(at::arange(5000), 5000).first;
  CHECK(at::equal(first, later.narrow(0, 0, 8)));
  CHECK(at::equal(later, large.rows(at::arange(5000), 5000).first));
}

TEST_CASE("rotation in place equals the plain one, for some of the heads, in either dtype",
          "[nn]") {
  Rope rope(rope_kind("none"), at::kCPU);
  const auto [cos, sin] = rope.rows(at::arange(40), 40);
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto before = drawn({40, 5 * 16}, 1, dtype);
    auto rotated = before.clone();
    rotate_heads_(rotated, 3, cos, sin, +1);
    const auto expected = rotate_plain(before.view({40, 5, 16}).narrow(1, 0, 3), cos, sin);
    CHECK(difference(rotated.view({40, 5, 16}).narrow(1, 0, 3), expected) < 1e-6);
    CHECK(at::equal(rotated.narrow(1, 48, 32), before.narrow(1, 48, 32)));  // values stay
    rotate_heads_(rotated, 3, cos, sin, -1);
    CHECK(difference(rotated, before) < (dtype == at::kFloat ? 1e-6 : 0.02));
  }
}

TEST_CASE("scores depend on the distance of two tokens only", "[nn]") {
  Rope rope(rope_kind("none"), at::kCPU);
  const auto [cos, sin] = rope.rows(at::arange(100), 100);
  const auto q = drawn({1, 1, 16}, 1), k = drawn({1, 1, 16}, 2);
  const auto at_place = [&](const at::Tensor& x, int64_t place) {
    return rotate_plain(x, cos.narrow(0, place, 1), sin.narrow(0, place, 1));
  };
  const auto near = (at_place(q, 10) * at_place(k, 3)).sum(),
             far = (at_place(q, 90) * at_place(k, 83)).sum();
  CHECK(near.item<float>() == Approx(far.item<float>()).margin(1e-4));
}

}  // namespace finer
