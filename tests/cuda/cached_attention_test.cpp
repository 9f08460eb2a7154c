// Attention through the cache by the kernel against ATen's operators, and a generator on the card
// against one on the CPU.
#include "finer/nn/cached_attention.h"

#include "finer/model/generator.h"
#include "finer/model/load.h"
#include "finer/nn/rope.h"

#include <ATen/ATen.h>
#include <catch2/catch.hpp>

namespace finer {

namespace {

const at::Device kCard(at::kCUDA, 0);

void add_row(CachedView& view, int64_t position, int32_t slot, int64_t begin, int64_t count) {
  view.positions.push_back(position);
  view.writes_to.push_back(slot);
  view.own_begin.push_back(begin);
  view.own_count.push_back(count);
}

// A prompt of 50 new rows behind 70 tokens, 13 answers that share these, and one alone.
CachedView mixed_view(int64_t num_slots) {
  CachedView view;
  int64_t taken = 0;
  const auto list = [&](int64_t count) {
    const auto begin = static_cast<int64_t>(view.slots.size());
    for (int64_t i = 0; i < count; ++i)
      view.slots.push_back(static_cast<int32_t>(taken++ * 1021 % num_slots));
    return begin;
  };
  const int64_t shared = list(70), prompt = list(50);
  view.groups.push_back({0, 50, shared, 70});
  for (int64_t i = 0; i < 50; ++i) add_row(view, 70 + i, view.slots[prompt + i], prompt, i + 1);
  view.groups.push_back({50, 13, shared, 70});
  for (int64_t i = 0; i < 13; ++i) {
    const int64_t count = 1 + 7 * i, own = list(count);
    add_row(view, 69 + count, view.slots[own + count - 1], own, count);
  }
  const int64_t alone = list(333);
  view.groups.push_back({63, 1, 0, 0});
  add_row(view, 332, view.slots[alone + 332], alone, 333);
  return view;
}

double apart(const at::Tensor& found, const at::Tensor& expected) {
  const auto f = found.to(at::kDouble), e = expected.to(at::kDouble);
  REQUIRE(f.isfinite().all().item<bool>());
  return ((f - e).norm() / e.norm()).item<double>();
}

}  // namespace

TEST_CASE("attention through the cache on the card equals the plain one", "[gpu]") {
  constexpr int64_t kSlots = 2048;
  for (const auto dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
    for (const auto& [H, K, C] :
         {std::tuple<int64_t, int64_t, int64_t>{4, 4, 32}, {8, 2, 64}, {8, 8, 128}, {16, 2, 128}}) {
      INFO(at::toString(dtype) << " H " << H << " K " << K << " C " << C);
      const AttentionConfig config{
          .width = H * C, .num_heads = H, .num_kv_heads = K, .head_size = C};
      const auto options = at::TensorOptions(kCard).dtype(dtype);
      REQUIRE(has_cached_kernel(options, config));
      at::manual_seed(3);
      KvLayer layer{at::randn({K, kSlots, C}).to(options), at::randn({K, kSlots, C}).to(options)};
      KvLayer twin{layer.keys.clone(), layer.values.clone()};
      auto view = mixed_view(kSlots), plain_view = view;
      view.make_tensors(kCard, true, H / K);
      plain_view.make_tensors(kCard, false, H / K);
      Rope rope({.head_size = C}, kCard);
      const auto [cos, sin] = rope.rows(view.positions_T, view.max_position + 1);
      const auto qkv = at::randn({view.num_rows(), (H + 2 * K) * C}).to(options);
      const auto found = attend_cached(qkv.clone(), {cos, sin}, view, layer, config);
      const auto expected = attend_cached_plain(qkv.clone(), {cos, sin}, plain_view, twin, config);
      CHECK(apart(found, expected) < (dtype == at::kFloat  ? 1e-6
                                      : dtype == at::kHalf ? 1e-3
                                                           : 8e-3));
      CHECK(layer.keys.equal(twin.keys));
      CHECK(layer.values.equal(twin.values));
    }
  }
}

TEST_CASE("the card answers as the CPU does", "[gpu]") {
  LlavaConfig config;
  config.has_vision = false;
  config.language.vocab_size = 300;
  config.language.width = 128;
  config.language.mlp_width = 256;
  config.language.num_layers = 3;
  config.language.num_heads = 4;
  config.language.num_kv_heads = 2;
  config.language.head_size = 32;
  config.language.max_positions = 256;
  const auto answers = [&](at::Device device) {
    Llava model(config, at::TensorOptions(device).dtype(at::kFloat));
    init_weights(model, 23);
    Generator generator(model, {.max_sequences = 5});
    at::manual_seed(9);
    const auto beginning = at::randint(0, 300, {40}, at::kLong);
    for (int64_t n = 0; n < 9; ++n) {
      GeneratePrompt prompt;
      const auto ids = at::cat({beginning, at::randint(0, 300, {1 + 5 * n}, at::kLong)});
      prompt.ids.assign(ids.const_data_ptr<int64_t>(), ids.const_data_ptr<int64_t>() + ids.numel());
      prompt.max_new_tokens = 12;
      generator.submit(prompt);
    }
    std::vector<std::vector<int64_t>> found(9);
    while (generator.num_pending() > 0) {
      for (auto& answer : generator.next()) found[answer.ticket] = answer.ids;
    }
    return found;
  };
  CHECK(answers(kCard) == answers(at::kCPU));
}

}  // namespace finer
