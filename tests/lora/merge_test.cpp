#include "lora/merge.h"

#include "lora/attach.h"
#include "lora/peft_io.h"
#include "tests/model/tiny_llava.h"

#include <catch2/catch.hpp>

namespace finer::lora {

TEST_CASE("a merged adapter equals an attached one, and leaves no adapter behind", "[lora]") {
  const auto g = golden("model/logits.safetensors");
  for (const std::string name : {"full", "patterns", "vision"}) {
    INFO(name);
    const auto expected = golden("lora/" + name + ".safetensors");
    const auto model = tiny_llava();
    const auto before = weights_of(*model);
    load_adapter(*model, golden_path("lora/" + name));
    const auto norms = merge(*model);
    CHECK(norms.lost < 1e-5 * norms.update);
    CHECK(adapted_linears(*model).empty());
    const auto input = packed_input({g.at("picture.ids")}, g.at("picture.pixels"));
    CHECK(difference(logits_of(*model, input), expected.at("picture.logits")) < 5e-6);
    CHECK_FALSE(at::equal(weights_of(*model).at("language_model.layers.0.self_attn.q_proj.weight"),
                          before.at("language_model.layers.0.self_attn.q_proj.weight")));
    CHECK(at::equal(weights_of(*model).at("language_model.embed_tokens.weight"),
                    before.at("language_model.embed_tokens.weight")));
  }
}

TEST_CASE("merging rounds once, to the base's dtype", "[lora]") {
  auto config = tiny_model();
  config.dtype = "bfloat16";
  const auto model = load_llava(config, at::kCPU, 0);
  load_adapter(*model, golden_path("lora/full"));
  const std::string name = "language_model.layers.1.mlp.up_proj";
  const auto before = weights_of(*model).at(name + ".weight").to(at::kFloat);
  const auto norms = merge(*model);
  const auto file = golden("lora/full/adapter_model.safetensors");
  const auto A = file.at("base_model.model.model." + name + ".lora_A.weight");
  const auto B = file.at("base_model.model.model." + name + ".lora_B.weight");
  const auto expected = (before + 2.0 * at::mm(B, A)).to(at::kBFloat16);
  const auto found = weights_of(*model).at(name + ".weight");
  CHECK(found.scalar_type() == at::kBFloat16);
  // equal but for sums that fall on the middle of two bfloat16
  CHECK(found.ne(expected).sum().item<int64_t>() <= 2);
  CHECK(difference(found, expected) < 0.005);
  CHECK(norms.update > 0);
  CHECK(norms.lost > 1e-4 * norms.update);
  CHECK(norms.lost < 0.1 * norms.update);
}

}  // namespace finer::lora
