#include "finer/nn/attention.h"

#include "finer/nn/rope.h"
#include "tests/tensors.h"

#include <ATen/Parallel.h>
#include <catch2/catch.hpp>
#include <torch/csrc/autograd/autograd.h>

#include <functional>
#include <limits>
#include <numeric>

namespace finer {

namespace {

using Attend = std::function<at::Tensor(const at::Tensor&, const RopeRows&, const Packing&,
                                        const AttentionConfig&)>;

Packing packing_of(const std::vector<int64_t>& lengths) {
  std::vector<int64_t> bounds = {0};
  for (const int64_t length : lengths) bounds.push_back(bounds.back() + length);
  return Packing::from_bounds(bounds, at::kCPU);
}

RopeRows rope_of(const Packing& packing, int64_t head_size) {
  RopeConfig config;
  config.head_size = head_size;
  config.max_positions = 8192;
  const auto [cos, sin] = Rope(config, at::kCPU).rows(packing.positions_T, packing.max_length);
  return {cos, sin};
}

struct Attended {
  at::Tensor out, dqkv;
};

Attended through(const Attend& attend, const at::Tensor& qkv, const at::Tensor& dout,
                 const Packing& packing, const AttentionConfig& config) {
  const auto start = leaf(qkv);
  // attend_packed rotates what it gets in place
  const auto out = attend(start * 1.0, rope_of(packing, config.head_size), packing, config);
  torch::autograd::backward({out}, {dout});
  return {out.detach(), start.grad()};
}

void check_against_plain(const at::Tensor& qkv, const at::Tensor& dout, const Packing& packing,
                         const AttentionConfig& config, double out_bound = 2e-6,
                         double gradient_bound = 5e-6) {
  const auto a = through(attend_packed, qkv, dout, packing, config);
  const auto b = through(attend_plain, qkv, dout, packing, config);
  CHECK(difference(a.out, b.out) < out_bound);
  CHECK(difference(a.dqkv, b.dqkv) < gradient_bound);
}

void check_against_transformers(const std::string& file, const AttentionConfig& config) {
  const auto g = golden(file);
  Attention attention("attn", config, at::kFloat);
  const auto fill = [&](const std::string& name, const at::Tensor& slot) {
    slot.copy_(g.at(name.substr(5)));
  };
  attention.qkv_proj.visit_weights(fill);
  attention.o_proj.visit_weights(fill);
  attention.qkv_proj.weight().requires_grad_(true);
  attention.o_proj.weight().requires_grad_(true);
  const auto packing = packing_of({5, 1, 9});
  const auto rope = rope_of(packing, config.head_size);
  const auto x = leaf(g.at("x"));
  const auto y = attention.forward(x, rope, packing);
  torch::autograd::backward({y}, {g.at("dy")});
  CHECK(difference(y, g.at("y")) < 2e-6);
  CHECK(difference(x.grad(), g.at("dx")) < 5e-6);
  const auto d_qkv = attention.qkv_proj.weight().grad();
  int64_t row = 0;
  for (const std::string name : {"d_q_proj.weight", "d_k_proj.weight", "d_v_proj.weight"}) {
    INFO(name);
    const int64_t rows = g.at(name).size(0);
    CHECK(difference(d_qkv.narrow(0, row, rows), g.at(name)) < 5e-6);
    row += rows;
  }
  CHECK(row == d_qkv.size(0));
  CHECK(difference(attention.o_proj.weight().grad(), g.at("d_o_proj.weight")) < 5e-6);

  // only some positions' outputs wanted: the same rows
  const at::NoGradGuard no_gradients;
  const auto rows = at::tensor({0, 4, 5, 14}, at::kLong);
  CHECK(difference(attention.forward(g.at("x"), rope, packing, rows), g.at("y").index({rows})) <
        2e-6);
}

}  // namespace

// Tolerances: float32 sums of up to 24 terms, softmax over up to 9, in another order.
TEST_CASE("attention and its gradients are transformers', sequence by sequence", "[nn]") {
  SECTION("a key a query head") {
    check_against_transformers("nn/attention.safetensors",
                               {.width = 24, .num_heads = 4, .num_kv_heads = 4, .head_size = 6});
  }
  SECTION("grouped queries, heads wider than the residual stream's share") {
    check_against_transformers("nn/attention_grouped.safetensors",
                               {.width = 24, .num_heads = 6, .num_kv_heads = 2, .head_size = 8});
  }
}

TEST_CASE("packed attention equals its plain twin, gradients included", "[nn]") {
  // long sequences go through several blocks of the kernel, of one token through none
  const auto packing = packing_of({1, 3, 70, 1, 250});
  for (const int64_t num_kv_heads : {6, 3, 1}) {
    for (const int64_t head_size : {2, 8, 10, 24, 64}) {
      INFO(num_kv_heads << " key heads of " << head_size);
      const AttentionConfig config{
          .width = 0, .num_heads = 6, .num_kv_heads = num_kv_heads, .head_size = head_size};
      const int64_t T = packing.num_tokens();
      const auto qkv = drawn({T, (6 + 2 * num_kv_heads) * head_size}, 1);
      const auto dout = drawn({T, 6 * head_size}, 2);
      check_against_plain(qkv, dout, packing, config);
    }
  }
}

TEST_CASE("attention takes short and long sequences", "[nn]") {
  const AttentionConfig config{.width = 0, .num_heads = 2, .num_kv_heads = 1, .head_size = 16};
  for (const int64_t longest : {255, 256, 257, 600}) {
    INFO("longest sequence " << longest);
    const auto packing = packing_of({longest, 9});
    const auto qkv = drawn({longest + 9, 64}, 1), dout = drawn({longest + 9, 32}, 2);
    check_against_plain(qkv, dout, packing, config);
  }
}

TEST_CASE("attention takes scores that are far apart", "[nn]") {
  const AttentionConfig config{.width = 0, .num_heads = 2, .num_kv_heads = 2, .head_size = 8};
  const auto packing = packing_of({40});
  const auto qkv = drawn({40, 48}, 1) * 30, dout = drawn({40, 16}, 2);
  // scores of thousands: float32 rounds them, and so the exponents, to some 1e-4
  check_against_plain(qkv, dout, packing, config, 2e-4, 1e-3);
}

TEST_CASE("attention hides no value that is not finite", "[nn]") {
  const AttentionConfig config{.width = 0, .num_heads = 2, .num_kv_heads = 1, .head_size = 8};
  const auto packing = packing_of({11});
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto check = [&](const at::Tensor& qkv) {
    const auto rope = rope_of(packing, 8);
    const auto fast = attend_packed(qkv.clone(), rope, packing, config);
    const auto plain = attend_plain(qkv.clone(), rope, packing, config);
    CHECK(at::isnan(plain).any().item<bool>());
    CHECK(at::equal(at::isnan(fast), at::isnan(plain)));
  };
  const auto qkv = drawn({11, 32}, 1);
  for (const int64_t column : {0, 16}) {  // of a query head, of the key head
    INFO("column " << column << " is not a number");
    auto broken = qkv.clone();
    broken.index_put_({5, column}, nan);
    check(broken);
  }
  // the first token's score overflows
  auto huge = qkv.clone();
  huge.index_put_({0, 0}, 1e30);
  huge.index_put_({0, 16}, 1e30);
  check(huge);
}

TEST_CASE("attention over whole pictures equals LibTorch's, gradients included", "[nn]") {
  for (const int64_t num_patches : {1, 5, 37, 300}) {
    for (const int64_t head_size : {6, 24, 32}) {
      INFO(num_patches << " patches, heads of " << head_size);
      const auto qkv = drawn({3, num_patches, 12 * head_size}, 1);
      const auto dout = drawn({3, num_patches, 4 * head_size}, 2);
      const auto x = leaf(qkv), x_plain = leaf(qkv);
      const auto a = attend_all(x, 4), b = attend_all_plain(x_plain, 4);
      torch::autograd::backward({a}, {dout});
      torch::autograd::backward({b}, {dout});
      CHECK(difference(a, b) < 2e-6);
      CHECK(difference(x.grad(), x_plain.grad()) < 5e-6);
    }
  }
}

TEST_CASE("attention gives the same bytes on one thread and on three", "[nn]") {
  const AttentionConfig config{.width = 0, .num_heads = 4, .num_kv_heads = 2, .head_size = 16};
  const auto packing = packing_of({30, 1, 64, 12, 90});
  const auto qkv = drawn({197, 128}, 1), dout = drawn({197, 64}, 2);
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = through(attend_packed, qkv, dout, packing, config);
  at::set_num_threads(3);
  const auto three = through(attend_packed, qkv, dout, packing, config);
  at::set_num_threads(before);
  CHECK(at::equal(one.out, three.out));
  CHECK(at::equal(one.dqkv, three.dqkv));
}

TEST_CASE("attention takes a gradient that is expanded or strided", "[nn]") {
  const auto packing = packing_of({4, 6});
  const AttentionConfig config{.width = 0, .num_heads = 2, .num_kv_heads = 1, .head_size = 8};
  const auto qkv = drawn({10, 32}, 1);
  const auto expanded = at::ones({1, 1}).expand({10, 16});
  CHECK(difference(through(attend_packed, qkv, expanded, packing, config).dqkv,
                   through(attend_plain, qkv, expanded, packing, config).dqkv) < 5e-6);
  const auto strided = drawn({16, 10}, 2).t();
  CHECK(difference(through(attend_packed, qkv, strided, packing, config).dqkv,
                   through(attend_plain, qkv, strided, packing, config).dqkv) < 5e-6);
}

TEST_CASE("attention's gradient is the slope of its value", "[nn]") {
  const auto packing = packing_of({3, 8});
  const AttentionConfig config{.width = 0, .num_heads = 4, .num_kv_heads = 2, .head_size = 8};
  const auto qkv = drawn({11, 64}, 1), dout = drawn({11, 32}, 2), along = drawn({11, 64}, 3);
  const auto rope = rope_of(packing, 8);
  const auto found = through(attend_packed, qkv, dout, packing, config);
  const double expected = slope(
      [&](const at::Tensor& moved) {
        return (attend_packed(moved.clone(), rope, packing, config) * dout).sum(at::kDouble);
      },
      qkv, along, 1e-3);
  CHECK((found.dqkv * along).sum().item<double>() == Approx(expected).epsilon(2e-3));  // float32
}

TEST_CASE("attention never looks into the next sequence, nor ahead, nor back over a border",
          "[nn]") {
  const auto packing = packing_of({6, 9, 5});
  const AttentionConfig config{.width = 0, .num_heads = 4, .num_kv_heads = 2, .head_size = 8};
  const auto rope = rope_of(packing, 8);
  const auto qkv = drawn({20, 64}, 1);
  const auto before = attend_packed(qkv.clone(), rope, packing, config);
  for (const int64_t changed : {0, 5, 6, 10, 14, 15, 19}) {
    INFO("token " << changed << " changes");
    auto other = qkv.clone();
    other[changed].add_(drawn({64}, 2) * 10);
    const auto after = attend_packed(other, rope, packing, config);
    const auto moved = (after - before).abs().amax(1) > 0;
    for (int64_t t = 0; t < 20; ++t) {
      const bool same_sequence = (t < 6 && changed < 6) || (t >= 15 && changed >= 15) ||
                                 (t >= 6 && t < 15 && changed >= 6 && changed < 15);
      INFO("output " << t);
      CHECK(moved[t].item<bool>() == (same_sequence && t >= changed));
    }
  }
}

TEST_CASE("no gradient crosses the border of a sequence", "[nn]") {
  const auto packing = packing_of({6, 9});
  const AttentionConfig config{.width = 0, .num_heads = 2, .num_kv_heads = 2, .head_size = 8};
  const auto qkv = drawn({15, 48}, 1);
  auto dout = at::zeros({15, 16});
  dout.narrow(0, 8, 1).copy_(drawn({1, 16}, 2));  // third token of the second sequence
  const auto d = through(attend_packed, qkv, dout, packing, config).dqkv.abs().amax(1);
  for (int64_t t = 0; t < 15; ++t) {
    INFO("token " << t);
    CHECK((d[t].item<float>() > 0) == (t >= 6 && t <= 8));
  }
}

TEST_CASE("a packed row and its sequences one by one attend to the same bits", "[nn]") {
  const std::vector<int64_t> lengths = {5, 33, 1};
  const auto packing = packing_of(lengths);
  const AttentionConfig config{.width = 0, .num_heads = 4, .num_kv_heads = 2, .head_size = 16};
  const auto qkv = drawn({39, 128}, 1);
  const auto together = attend_packed(qkv.clone(), rope_of(packing, 16), packing, config);
  int64_t begin = 0;
  for (const int64_t length : lengths) {
    const auto one = packing_of({length});
    const auto alone =
        attend_packed(qkv.narrow(0, begin, length).clone(), rope_of(one, 16), one, config);
    CHECK(at::equal(alone, together.narrow(0, begin, length)));
    begin += length;
  }
}

TEST_CASE("attention in bfloat16 is close to float32's", "[nn]") {
  const auto packing = packing_of({7, 20});
  const AttentionConfig config{.width = 0, .num_heads = 4, .num_kv_heads = 2, .head_size = 16};
  const auto qkv = drawn({27, 128}, 1, at::kBFloat16), dout = drawn({27, 64}, 2, at::kBFloat16);
  const auto a = through(attend_packed, qkv, dout, packing, config);
  const auto b = through(attend_plain, qkv.to(at::kFloat), dout.to(at::kFloat), packing, config);
  CHECK(difference(a.out, b.out) < 0.02);  // 8 bits, rounded a few times
  CHECK(difference(a.dqkv, b.dqkv) < 0.03);
}

TEST_CASE("a packing counts positions from 0 in each sequence", "[nn]") {
  const auto packing = packing_of({2, 1, 3});
  CHECK(at::equal(packing.positions_T, at::tensor({0, 1, 0, 0, 1, 2}, at::kLong)));
  CHECK(at::equal(packing.bounds_device, at::tensor({0, 2, 3, 6}, at::kInt)));
  CHECK(packing.max_length == 3);
  CHECK(packing.num_sequences() == 3);
  CHECK(packing.num_tokens() == 6);
}

}  // namespace finer
