#include "finer/model/hf_config.h"

#include "finer/core/error.h"
#include "tests/core/temporary_folder.h"

#include <catch2/catch.hpp>

#include <fstream>
#include <sstream>

namespace finer {

namespace {

using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;

// Folders with a config.json each.
class Configs {
 public:
  std::string write(const std::string& name, const std::string& json) const {
    std::filesystem::create_directories(folder_ / name);
    std::ofstream(folder_ / name / "config.json") << json;
    return (folder_ / name).string();
  }

 private:
  TemporaryFolder folder_;
};

ModelConfig llava_at(const std::string& dir, const std::string& vision = "") {
  ModelConfig model;
  model.llava = dir;
  model.vision = vision;
  return model;
}

std::string refusal(const ModelConfig& model) {
  try {
    read_model_config(model);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "(nothing)";
}

const std::string kClip =
    R"({"model_type": "clip_vision_model", "hidden_size": 1024, "intermediate_size": 4096,
  "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 336, "patch_size": 14})";

// llava-hf with these texts inside text_config and beside it.
std::string hf(const std::string& text, const std::string& beside = "") {
  return R"({"model_type": "llava", "vision_config": )" + kClip +
         R"(, "text_config": {"model_type": "llama")" + text + "}" + beside + "}";
}

}  // namespace

TEST_CASE("LLaVA-1.5's first config, which leaves out nearly all, has transformers' defaults",
          "[model]") {
  const Configs configs;
  const auto model = llava_at(configs.write(
      "a", hf(R"(, "max_position_embeddings": 4096, "rms_norm_eps": 1e-05, "vocab_size": 32064)")));
  CHECK(base_kind(model) == BaseKind::kLlavaHf);
  const auto c = read_model_config(model);
  CHECK(c.language.vocab_size == 32064);
  CHECK(c.language.width == 4096);
  CHECK(c.language.mlp_width == 11008);
  CHECK(c.language.num_layers == 32);
  CHECK(c.language.num_heads == 32);
  CHECK(c.language.num_kv_heads == 32);
  CHECK(c.language.head_size == 128);
  CHECK(c.language.rope_theta == 10000);
  CHECK(c.language.rope_scaling == "none");
  CHECK_FALSE(c.language.tie_embeddings);
  CHECK(c.vision.num_patches() == 576);
  CHECK(c.vision.activation == "quick_gelu");
  CHECK(c.projector.kind == "mlp2x_gelu");
  CHECK(c.projector.bias);
  CHECK(c.feature_layer == -2);
  CHECK_FALSE(c.keep_class_token);
  CHECK(c.image_positions() == 576);
  CHECK(c.image_token_id == 32000);
}

TEST_CASE("rotary settings of every generation read the same", "[model]") {
  const Configs configs;
  const auto read = [&](const std::string& text) {
    return read_model_config(llava_at(configs.write("a", hf(text)))).language;
  };
  const std::string llama3 =
      R"("factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 512)";
  for (const auto& text :
       {R"(, "rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3", )" + llama3 + "}",
        R"(, "rope_theta": 500000.0, "rope_scaling": {"type": "llama3", )" + llama3 + "}",
        R"(, "rope_parameters": {"rope_theta": 500000.0, "rope_type": "llama3", )" + llama3 +
            "}"}) {
    INFO(text);
    const auto language = read(text);
    CHECK(language.rope_theta == 500000);
    CHECK(language.rope_scaling == "llama3");
    CHECK(language.rope_factor == 8);
    CHECK(language.rope_high_freq_factor == 4);
    CHECK(language.rope_original_positions == 512);
  }
  const auto linear = read(R"(, "rope_scaling": {"type": "linear", "factor": 2.5})");
  CHECK(linear.rope_scaling == "linear");
  CHECK(linear.rope_factor == 2.5);
  CHECK(read(R"(, "rope_scaling": null)").rope_scaling == "none");
  CHECK(read(R"(, "rope_parameters": {"rope_theta": 7.0, "rope_type": "default"})").rope_theta ==
        7);
}

TEST_CASE("settings beside text and vision are read", "[model]") {
  const Configs configs;
  const auto c = read_model_config(llava_at(configs.write(
      "a",
      hf(R"(, "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 64, "hidden_size": 256)",
         R"(, "image_token_id": 7, "multimodal_projector_bias": false, "vision_feature_layer": -1,
              "vision_feature_select_strategy": "full", "tie_word_embeddings": true)"))));
  CHECK(c.language.num_kv_heads == 2);
  CHECK(c.language.head_size == 64);
  CHECK(c.language.tie_embeddings);
  CHECK(c.image_token_id == 7);
  CHECK_FALSE(c.projector.bias);
  CHECK(c.feature_layer == -1);
  CHECK(c.keep_class_token);
  CHECK(c.image_positions() == 577);
}

TEST_CASE("an original LLaVA directory needs its CLIP beside it", "[model]") {
  const Configs configs;
  const auto dir =
      configs.write("a", R"({"model_type": "llava", "hidden_size": 5120, "num_attention_heads": 40,
    "mm_vision_tower": "openai/clip-vit-large-patch14-336", "mm_projector_type": "mlp2x_gelu", "mm_vision_select_layer": -2,
    "mm_vision_select_feature": "cls_patch", "mm_hidden_size": 1024})");
  CHECK(base_kind(llava_at(dir)) == BaseKind::kLlavaOriginal);
  CHECK_THAT(refusal(llava_at(dir)),
             Contains("openai/clip-vit-large-patch14-336") && EndsWith("give it as model.vision"));
  for (const auto& clip : {kClip, R"({"model_type": "clip", "vision_config": )" + kClip + "}"}) {
    const auto c = read_model_config(llava_at(dir, configs.write("clip", clip)));
    CHECK(c.language.width == 5120);
    CHECK(c.language.head_size == 128);
    CHECK(c.vision.width == 1024);
    CHECK(c.keep_class_token);
  }
}

TEST_CASE("three parts are a LLaMA directory and a CLIP directory, or text alone", "[model]") {
  const Configs configs;
  ModelConfig model;
  model.language = configs.write(
      "llama", R"({"model_type": "llama", "hidden_size": 64, "num_attention_heads": 4})");
  CHECK(base_kind(model) == BaseKind::kThreeParts);
  CHECK_FALSE(read_model_config(model).has_vision);
  model.vision = configs.write("clip", kClip);
  CHECK(read_model_config(model).has_vision);
  CHECK(read_model_config(model).vision.image_side_px == 336);
}

TEST_CASE("what finer does not implement is refused by name, and what cannot be by key",
          "[model]") {
  const Configs configs;
  const auto refused = [&](const std::string& json) {
    return refusal(llava_at(configs.write("a", json)));
  };
  CHECK_THAT(refused(hf(R"(, "model_type": "mistral")")),
             Contains("config.json: text_config: model_type: \"mistral\" is not implemented"));
  CHECK_THAT(refused(hf(R"(, "hidden_act": "gelu")")),
             Contains("hidden_act: \"gelu\" is not implemented"));
  CHECK_THAT(refused(hf(R"(, "attention_bias": true)")),
             Contains("attention_bias: found true, expected false"));
  CHECK_THAT(refused(hf(R"(, "rope_scaling": {"type": "yarn"})")),
             Contains("rope_scaling: type: \"yarn\" is not implemented"));
  CHECK_THAT(refused(hf(R"(, "num_attention_heads": 6, "num_key_value_heads": 4, "head_dim": 8)")),
             Contains("6 query heads do not split into 4 key/value heads"));
  CHECK_THAT(refused(hf(R"(, "head_dim": 7)")), Contains("the head size 7 is odd"));
  CHECK_THAT(refused(hf(R"(, "hidden_size": "4096")")),
             Contains("hidden_size: found \"4096\", expected a whole number"));
  CHECK_THAT(refused(hf(R"(, "hidden_size": -1)")),
             Contains("hidden_size: found -1, expected a whole number from 1"));
  CHECK_THAT(refused(hf(R"(, "num_hidden_layers": 1e9)")), Contains("num_hidden_layers"));
  CHECK_THAT(refused(hf(R"(, "rms_norm_eps": 0)")),
             Contains("rms_norm_eps: found 0, expected a number above 0"));
  CHECK_THAT(refused(hf("", R"(, "vision_feature_layer": -26)")),
             Contains("vision feature layer -26 is out of range; the tower has 24 layers"));
  CHECK_THAT(refused(hf("", R"(, "vision_feature_layer": [-2, -5])")),
             Contains("vision_feature_layer: found [-2,-5], expected a whole number"));
  CHECK_THAT(
      refused(R"({"model_type": "llava_next", "text_config": {}, "vision_config": {}})"),
      Contains(
          "model_type: \"llava_next\" is not implemented; expected one of llava, llava_llama"));
  CHECK_THAT(refused("{"), Contains("config.json: is not JSON at byte"));
  CHECK_THAT(refused("[]"), Contains("expected a JSON object"));
  CHECK_THAT(
      refusal(llava_at("/nowhere")),
      Contains("/nowhere/config.json: cannot be read; a model directory needs a config.json"));
}

TEST_CASE("tokenizer and picture settings come from the base where the recipe names none",
          "[model]") {
  ModelConfig model;
  CHECK_THROWS_WITH(tokenizer_path(model),
                    Contains("model.tokenizer: a model from scratch needs a tokenizer"));
  model.language = "llama";
  CHECK(tokenizer_path(model) == "llama");
  model.llava = "llava";
  CHECK(tokenizer_path(model) == "llava");
  CHECK(preprocessor_dir(model) == "llava");
  model.vision = "clip";
  CHECK(preprocessor_dir(model) == "clip");
  model.tokenizer = "words.model";
  CHECK(tokenizer_path(model) == "words.model");
}

}  // namespace finer
