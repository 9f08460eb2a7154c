#include "finer/nn/cached_attention.h"

#include "finer/nn/rope.h"
#include "tests/tensors.h"

#include <ATen/Parallel.h>
#include <catch2/catch.hpp>

namespace finer {

namespace {

// Sequences of one pass whose first tokens are the same, in slots that lie in no order.
struct Case {
  AttentionConfig config;
  std::vector<int64_t> lengths;  // each with the shared beginning
  int64_t shared;
};

RopeRows rope_of(const at::Tensor& positions, int64_t C) {
  Rope rope({.head_size = C}, at::kCPU);
  const auto [cos, sin] = rope.rows(positions, 4096);
  return {cos, sin};
}

// What attend_packed says of whole sequences, against one pass over the shared beginning, then one
// over what is left of each sequence but its last tokens, then one for those. Returns the largest
// difference of the last two.
double gap_of(const Case& c, bool is_plain) {
  const int64_t X = (c.config.num_heads + 2 * c.config.num_kv_heads) * c.config.head_size;
  const int64_t S = static_cast<int64_t>(c.lengths.size());
  const auto common = drawn({c.shared, X}, 1);
  std::vector<at::Tensor> rows, expected;
  for (int64_t s = 0; s < S; ++s) {
    const int64_t left = c.lengths[s] - c.shared;
    rows.push_back(drawn({left, X}, 10 + s));
    const auto whole = at::cat({common, rows.back()});
    const auto packing = Packing::from_bounds({0, whole.size(0)}, at::kCPU);
    expected.push_back(attend_packed(whole.clone(),
                                     rope_of(packing.positions_T, c.config.head_size), packing,
                                     c.config)
                           .narrow(0, c.shared, left));
  }
  const int64_t capacity = 4096, K = c.config.num_kv_heads, C = c.config.head_size;
  KvLayer layer{at::full({K, capacity, C}, NAN), at::full({K, capacity, C}, NAN)};
  int64_t taken = 0;
  const auto slot = [&] { return static_cast<int32_t>((taken++ * 1021) % capacity); };
  std::vector<int32_t> shared_slots;
  for (int64_t i = 0; i < c.shared; ++i) shared_slots.push_back(slot());

  const auto run = [&](CachedView& view, const at::Tensor& qkv) {
    view.make_tensors(at::kCPU, !is_plain && has_cached_kernel(qkv.options(), c.config),
                      c.config.num_heads / c.config.num_kv_heads);
    const auto rope = rope_of(view.positions_T, c.config.head_size);
    auto copy = qkv.clone();
    return is_plain ? attend_cached_plain(copy, rope, view, layer, c.config)
                    : attend_cached(copy, rope, view, layer, c.config);
  };
  const auto add_row = [](CachedView& view, int64_t position, int32_t at, int64_t begin,
                          int64_t count) {
    view.positions.push_back(position);
    view.writes_to.push_back(at);
    view.own_begin.push_back(begin);
    view.own_count.push_back(count);
  };
  if (c.shared > 0) {
    CachedView view;
    view.slots = shared_slots;
    view.groups.push_back({0, c.shared, 0, 0});
    for (int64_t i = 0; i < c.shared; ++i) add_row(view, i, shared_slots[i], 0, i + 1);
    run(view, common);
  }
  double worst = 0;
  std::vector<std::vector<int32_t>> own(S);
  {  // all but the last token, a group a sequence
    CachedView view;
    view.slots = shared_slots;
    std::vector<at::Tensor> inputs, wanted;
    for (int64_t s = 0; s < S; ++s) {
      const int64_t n = c.lengths[s] - c.shared - 1;
      if (n == 0) continue;
      for (int64_t i = 0; i < n; ++i) own[s].push_back(slot());
      const auto begin = static_cast<int64_t>(view.slots.size());
      view.slots.insert(view.slots.end(), own[s].begin(), own[s].end());
      view.groups.push_back({view.num_rows(), n, 0, c.shared});
      for (int64_t i = 0; i < n; ++i) add_row(view, c.shared + i, own[s][i], begin, i + 1);
      inputs.push_back(rows[s].narrow(0, 0, n));
      wanted.push_back(expected[s].narrow(0, 0, n));
    }
    if (!inputs.empty()) worst = difference(run(view, at::cat(inputs)), at::cat(wanted));
  }
  {  // the last tokens, one group
    CachedView view;
    view.slots = shared_slots;
    view.groups.push_back({0, S, 0, c.shared});
    std::vector<at::Tensor> inputs, wanted;
    for (int64_t s = 0; s < S; ++s) {
      const int64_t n = c.lengths[s] - c.shared - 1;
      own[s].push_back(slot());
      const auto begin = static_cast<int64_t>(view.slots.size());
      view.slots.insert(view.slots.end(), own[s].begin(), own[s].end());
      add_row(view, c.lengths[s] - 1, own[s].back(), begin, n + 1);
      inputs.push_back(rows[s].narrow(0, n, 1));
      wanted.push_back(expected[s].narrow(0, n, 1));
    }
    worst = std::max(worst, difference(run(view, at::cat(inputs)), at::cat(wanted)));
  }
  return worst;
}

}  // namespace

// float32 sums over up to 300 keys in another order: about 1e-6 of values of size 1.
TEST_CASE("attention through the cache is attention over whole sequences", "[nn]") {
  const auto heads = [](int64_t H, int64_t K, int64_t C) {
    return AttentionConfig{.width = H * C, .num_heads = H, .num_kv_heads = K, .head_size = C};
  };
  for (const bool is_plain : {false, true}) {
    CHECK(gap_of({heads(4, 4, 64), {90, 81, 75, 300, 77}, 70}, is_plain) < 5e-6);
    CHECK(gap_of({heads(6, 2, 32), {9, 5, 140}, 3}, is_plain) < 5e-6);  // grouped queries
    CHECK(gap_of({heads(8, 1, 8), {66, 65}, 64}, is_plain) < 5e-6);     // one key head
    CHECK(gap_of({heads(2, 2, 24), {1, 64, 65, 129}, 0}, is_plain) < 5e-6);
    CHECK(gap_of({heads(4, 2, 6), {20, 31}, 12}, is_plain) < 5e-6);  // no kernel: C is 6
  }
}

TEST_CASE("attention through the cache does not depend on the thread count", "[nn]") {
  // bits, not tolerances: a tile is never split
  const AttentionConfig config{.width = 128, .num_heads = 4, .num_kv_heads = 4, .head_size = 32};
  const auto once = [&](int threads) {
    at::set_num_threads(threads);
    CachedView view;
    for (int32_t i = 0; i < 97; ++i) view.slots.push_back(i);
    view.groups.push_back({0, 97, 0, 0});
    for (int64_t i = 0; i < 97; ++i) {
      view.positions.push_back(i);
      view.writes_to.push_back(i);
      view.own_begin.push_back(0);
      view.own_count.push_back(i + 1);
    }
    view.make_tensors(at::kCPU, true, 1);
    KvLayer layer{at::empty({4, 97, 32}), at::empty({4, 97, 32})};
    return attend_cached(drawn({97, 384}, 3), rope_of(view.positions_T, 32), view, layer, config);
  };
  const int before = at::get_num_threads();
  const auto one = once(1), two = once(2);
  at::set_num_threads(before);
  CHECK(at::equal(one, two));
}

}  // namespace finer
