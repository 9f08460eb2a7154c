#include "finer/nn/rows.h"

#include "finer/nn/attention.h"
#include "tests/tensors.h"

#include <catch2/catch.hpp>

namespace finer {

TEST_CASE("selected rows and their gradients are index_select's", "[nn]") {
  const auto x = drawn({6, 5}, 1).requires_grad_(true), y = x.detach().clone().requires_grad_(true);
  const auto rows = at::tensor({4, 0, 3}, at::kLong), weights = drawn({3, 5}, 2);
  const auto selected = select_rows(x, rows), wanted = y.index_select(0, rows);
  CHECK(at::equal(selected, wanted));
  (selected * weights).sum().backward();
  (wanted * weights).sum().backward();
  CHECK(at::equal(x.grad(), y.grad()));
}

TEST_CASE("an expanded stream repeats the shared rows and sums their gradients", "[nn]") {
  const auto packing = Packing::from_bounds({0, 4, 7, 12}, at::kCPU, {0, 2, 2});
  REQUIRE(packing.kept.size(0) == 8);  // 12 positions, 2 of them held once instead of three times
  const auto x = drawn({8, 3}, 3).requires_grad_(true), y = x.detach().clone().requires_grad_(true);
  const auto weights = drawn({12, 3}, 4);
  const auto index = at::tensor({0, 1, 2, 3, 0, 1, 4, 0, 1, 5, 6, 7}, at::kLong);
  CHECK(at::equal(packing.expand_T, index));
  (expand_shared(x, packing) * weights).sum().backward();
  (y.index_select(0, index) * weights).sum().backward();
  CHECK(at::allclose(x.grad(), y.grad(), 1e-6, 1e-6));
}

TEST_CASE("what a sequence shares with the one before it may have been shared before", "[nn]") {
  // a b c d | a b e | a b e f | a g | a g h: more, less and other tokens than the pair before
  const auto packing = Packing::from_bounds({0, 4, 7, 11, 13, 16}, at::kCPU, {0, 2, 2, 1, 2});
  const auto index = at::tensor({0, 1, 2, 3, 0, 1, 4, 0, 1, 5, 6, 0, 7, 0, 7, 8}, at::kLong);
  CHECK(at::equal(packing.expand_T, index));
  REQUIRE(packing.kept.size(0) == 9);
  const auto x = drawn({9, 3}, 5).requires_grad_(true), y = x.detach().clone().requires_grad_(true);
  const auto weights = drawn({16, 3}, 6);
  (expand_shared(x, packing) * weights).sum().backward();
  (y.index_select(0, index) * weights).sum().backward();
  CHECK(at::allclose(x.grad(), y.grad(), 1e-6, 1e-6));
  CHECK_FALSE(Packing::from_bounds({0, 4, 7}, at::kCPU, {0, 0}).is_shared());
}

TEST_CASE("attention over a stream with a shared beginning equals attention over whole sequences",
          "[nn]") {
  const AttentionConfig config{.width = 12, .num_heads = 2, .num_kv_heads = 1, .head_size = 6};
  Attention attention("a", config, at::kFloat);
  uint64_t seed = 10;
  for (auto* linear : {&attention.qkv_proj, &attention.o_proj}) {
    linear->weight().copy_(drawn(linear->weight().sizes(), ++seed));
  }
  const auto whole = Packing::from_bounds({0, 5, 9}, at::kCPU);
  const auto shared = Packing::from_bounds({0, 5, 9}, at::kCPU, {0, 3});
  const auto angles =
      whole.positions_T.to(at::kFloat).unsqueeze(1) * at::tensor({1.0F, 0.3F, 0.1F});
  const RopeRows rope{angles.cos(), angles.sin()};
  const auto stream = drawn({6, 12}, 20).requires_grad_(true);
  const auto full = stream.detach().index_select(0, shared.expand_T).requires_grad_(true);

  const auto want = attention.forward(full, rope, whole);
  const auto got = attention.forward(stream, rope, shared);
  CHECK(at::allclose(got, want.index_select(0, shared.kept), 1e-5, 1e-6));

  const auto rows = at::tensor({4, 5}, at::kLong);  // of the stream
  CHECK(at::allclose(attention.forward(stream, rope, shared, rows), got.index_select(0, rows), 1e-5,
                     1e-6));
  const auto weights = drawn({6, 12}, 21);
  (got * weights).sum().backward();
  (want.index_select(0, shared.kept) * weights).sum().backward();
  const auto summed = at::zeros({6, 12}).index_add(0, shared.expand_T, full.grad());
  CHECK(at::allclose(stream.grad(), summed, 1e-4, 1e-5));
}

}  // namespace finer
