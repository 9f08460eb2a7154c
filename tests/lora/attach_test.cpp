#include "lora/attach.h"

#include "finer/core/error.h"
#include "tests/model/tiny_llava.h"

#include <catch2/catch.hpp>

#include <set>

namespace finer::lora {

namespace {

using Catch::Matchers::Contains;
using Catch::Matchers::Equals;

LoraConfig config_for(std::vector<std::string> targets) {
  LoraConfig config;
  config.rank = 4;
  config.alpha = 8;
  config.targets = std::move(targets);
  return config;
}

// Paths with an adapter, each with its rank and scale.
std::string adapted(Llava& model) {
  std::string out;
  for (const auto* linear : adapted_linears(model)) {
    for (const auto& part : linear->adapter()->parts) {
      out += linear->parts()[part.part].path + " " + std::to_string(part.rank) + " " +
             std::to_string(part.scale).substr(0, 5) + "\n";
    }
  }
  return out;
}

std::string refusal(const LoraConfig& config, const AttachParts& parts = {}) {
  const auto model = tiny_llava();
  try {
    attach(*model, config, parts, 0);
  } catch (const RecipeError& error) {
    return error.what();
  }
  return "(nothing)";
}

}  // namespace

TEST_CASE("a plain name matches the last name of a path, a pattern the whole path", "[lora]") {
  const std::string path = "language_model.layers.11.self_attn.q_proj";
  for (const std::string pattern :
       {"q_proj", "**.q_proj", "language_model.**", "language_model.**.q_proj",
        "language_model.layers.11.**", "language_model.layers.1*.**",
        "language_model.layers.*.self_attn.q_proj", "*.layers.*.*.q_*",
        "language_model.**.layers.11.self_attn.q_proj", "**",
        "language_model.layers.11.self_attn.q_proj"}) {
    INFO(pattern);
    CHECK(matches_path(pattern, path));
  }
  for (const std::string pattern :
       {"proj", "self_attn", "*.q_proj", "language_model.*.q_proj", "*", "**.v_proj",
        "language_model.layers.1.**", "layers.11.self_attn.q_proj", "vision_tower.**.q_proj", ""}) {
    INFO(pattern);
    CHECK_FALSE(matches_path(pattern, path));
  }
}

TEST_CASE("adapters go into the layers that are named, in the language model alone", "[lora]") {
  const auto model = tiny_llava();
  attach(*model, config_for({"v_proj", "q_proj", "language_model.layers.1.mlp.*"}), {}, 0);
  CHECK(adapted(*model) ==
        "language_model.layers.0.self_attn.q_proj 4 2.000\n"
        "language_model.layers.0.self_attn.v_proj 4 2.000\n"
        "language_model.layers.1.self_attn.q_proj 4 2.000\n"
        "language_model.layers.1.self_attn.v_proj 4 2.000\n"
        "language_model.layers.1.mlp.gate_proj 4 2.000\n"
        "language_model.layers.1.mlp.up_proj 4 2.000\n"
        "language_model.layers.1.mlp.down_proj 4 2.000\n");
  // R * (in + out): q 24 + 24, v 24 + 12, gate and up 24 + 32, down 32 + 24
  CHECK(adapter_parameters(*model) == 4 * (2 * 48 + 2 * 36 + 3 * 56));
}

TEST_CASE("both towers get adapters when both train so, each by its own names", "[lora]") {
  const auto model = tiny_llava();
  attach(*model, config_for({"k_proj", "vision_tower.encoder.layers.0.mlp.fc*"}),
         {.language = true, .vision = true}, 0);
  CHECK(adapted(*model) ==
        "language_model.layers.0.self_attn.k_proj 4 2.000\n"
        "language_model.layers.1.self_attn.k_proj 4 2.000\n"
        "vision_tower.encoder.layers.0.self_attn.k_proj 4 2.000\n"
        "vision_tower.encoder.layers.0.mlp.fc1 4 2.000\n"
        "vision_tower.encoder.layers.0.mlp.fc2 4 2.000\n"
        "vision_tower.encoder.layers.1.self_attn.k_proj 4 2.000\n");
}

TEST_CASE("patterns give layers their own rank and alpha, the first in name order counts",
          "[lora]") {
  auto config = config_for({"q_proj", "down_proj"});
  config.rank_pattern = {{"down_proj", 2}, {"language_model.layers.1.**", 8}};
  config.alpha_pattern = {{"language_model.layers.0.**", 16}};
  const auto model = tiny_llava();
  SECTION("alpha / rank") {
    attach(*model, config, {}, 0);
    CHECK(adapted(*model) ==
          "language_model.layers.0.self_attn.q_proj 4 4.000\n"
          "language_model.layers.0.mlp.down_proj 2 8.000\n"
          "language_model.layers.1.self_attn.q_proj 8 1.000\n"
          "language_model.layers.1.mlp.down_proj 2 4.000\n");
  }
  SECTION("alpha / sqrt(rank)") {
    config.rslora = true;
    attach(*model, config, {}, 0);
    CHECK_THAT(adapted(*model), Contains("layers.0.self_attn.q_proj 4 8.000") &&
                                    Contains("layers.1.self_attn.q_proj 8 2.828"));
  }
}

TEST_CASE("A is uniform within 1 / sqrt(in), B zero, so that nothing changes at first", "[lora]") {
  const auto g = golden("model/logits.safetensors");
  const auto model = tiny_llava();
  auto config =
      config_for({"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"});
  config.rank = 64;
  attach(*model, config, {}, 3);
  for (const auto* linear : adapted_linears(*model)) {
    const auto& adapter = *linear->adapter();
    const double bound = 1 / std::sqrt(static_cast<double>(linear->in_features()));
    CHECK(adapter.A.scalar_type() == at::kFloat);
    CHECK(adapter.A.requires_grad());
    CHECK(adapter.A.abs().max().item<double>() <= bound);
    CHECK(adapter.A.std().item<double>() == Approx(bound / std::sqrt(3.0)).epsilon(0.05));
    for (const auto& part : adapter.parts) {
      CHECK(part.B.requires_grad());
      CHECK(part.B.abs().max().item<float>() == 0);
    }
  }
  const auto input = packed_input({g.at("picture.ids")}, g.at("picture.pixels"));
  CHECK(difference(logits_of(*model, input), g.at("picture.logits")) < 2e-6);
}

TEST_CASE("A is a function of seed and layer: other targets and ranks beside it change nothing",
          "[lora]") {
  const auto first_of = [](const std::vector<std::string>& targets, uint64_t seed) {
    const auto model = tiny_llava();
    attach(*model, config_for(targets), {}, seed);
    for (const auto* linear : adapted_linears(*model)) {
      for (size_t i = 0, row = 0; i < linear->adapter()->parts.size();
           row += linear->adapter()->parts[i++].rank) {
        if (linear->parts()[linear->adapter()->parts[i].part].path ==
            "language_model.layers.1.self_attn.v_proj") {
          return linear->adapter()->A.detach().narrow(0, static_cast<int64_t>(row), 4).clone();
        }
      }
    }
    return at::Tensor();
  };
  const auto alone = first_of({"v_proj"}, 5);
  CHECK(at::equal(alone, first_of({"q_proj", "v_proj", "down_proj"}, 5)));
  CHECK_FALSE(at::equal(alone, first_of({"v_proj"}, 6)));
}

TEST_CASE("each Linear's dropout has a name of its own", "[lora]") {
  const auto model = tiny_llava();
  attach(*model, config_for({"language_model.**", "vision_tower.**"}),
         {.language = true, .vision = true}, 0);
  std::set<std::string> ids;
  const auto all = adapted_linears(*model);
  for (const auto* linear : all) ids.insert(linear->adapter()->id);
  CHECK(all.size() == 16);
  CHECK(ids.size() == 16);
}

TEST_CASE("a target without a layer is refused with the nearest name", "[lora]") {
  CHECK_THAT(refusal(config_for({"q_proj", "qproj"})),
             Equals("lora.targets[1]: \"qproj\" matches no layer; did you mean \"q_proj\"?"));
  CHECK_THAT(refusal(config_for({"zzzzzzzz"})),
             Contains("matches no layer; expected one of down_proj, gate_proj, k_proj, o_proj, "
                      "q_proj, up_proj, v_proj"));
  CHECK_THAT(
      refusal(config_for({"language_model.**.qproj"})),
      Contains("lora.targets[0]: \"language_model.**.qproj\" matches no layer; paths look like "
               "\"language_model.layers.0."));
  // a layer of the vision tower alone, which does not train
  CHECK_THAT(refusal(config_for({"fc1"})), Contains("\"fc1\" matches no layer"));
  CHECK_THAT(refusal(config_for({"q_proj", "vision_tower.**.q_proj"})),
             Contains("lora.targets[1]: \"vision_tower.**.q_proj\" matches "
                      "vision_tower.encoder.layers.0.self_attn.q_proj, "
                      "but train.vision is not lora"));
}

TEST_CASE("a pattern of ranks or alphas without an adapted layer is refused", "[lora]") {
  auto config = config_for({"q_proj"});
  config.rank_pattern = {{"v_proj", 8}};
  CHECK_THAT(refusal(config), Contains("lora.rank_pattern: \"v_proj\" matches no layer"));
  config.rank_pattern.clear();
  config.alpha_pattern = {{"language_model.layers.7.**", 8}};
  CHECK_THAT(refusal(config),
             Contains("lora.alpha_pattern: \"language_model.layers.7.**\" matches no layer"));
}

TEST_CASE("a part that is to train by LoRA and gets no adapter is refused", "[lora]") {
  CHECK_THAT(refusal(config_for({"language_model.**.q_proj"}), {.language = true, .vision = true}),
             Contains("none is a layer of the vision tower; its layers are q_proj, k_proj, v_proj, "
                      "out_proj, fc1, fc2"));
  CHECK_THAT(refusal(config_for({"fc1"}), {.language = true, .vision = true}),
             Contains("none is a layer of the language model"));
}

}  // namespace finer::lora
