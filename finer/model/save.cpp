#include "finer/model/save.h"

#include "finer/core/atomic_file.h"
#include "finer/core/rng.h"
#include "finer/image/preprocess.h"
#include "finer/io/tensor_file.h"
#include "finer/model/hf_config.h"
#include "finer/model/load.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>
#include <map>

namespace finer {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

std::string published_name(const std::string& canonical, bool has_vision) {
  const std::string language = "language_model.", vision = "vision_tower.",
                    head = "language_model.lm_head.";
  if (canonical.rfind(head, 0) == 0)
    return has_vision ? canonical : canonical.substr(language.size());
  if (canonical.rfind(language, 0) == 0) {
    return (has_vision ? language : std::string()) + "model." + canonical.substr(language.size());
  }
  if (canonical.rfind(vision, 0) == 0)
    return "vision_tower.vision_model." + canonical.substr(vision.size());
  return canonical;
}

Json language_json(const LanguageConfig& c, const std::string& dtype) {
  Json json = {{"model_type", "llama"},
               {"architectures", {"LlamaForCausalLM"}},
               {"vocab_size", c.vocab_size},
               {"hidden_size", c.width},
               {"intermediate_size", c.mlp_width},
               {"num_hidden_layers", c.num_layers},
               {"num_attention_heads", c.num_heads},
               {"num_key_value_heads", c.num_kv_heads},
               {"head_dim", c.head_size},
               {"max_position_embeddings", c.max_positions},
               {"rms_norm_eps", c.norm_eps},
               {"rope_theta", c.rope_theta},
               {"hidden_act", "silu"},
               {"tie_word_embeddings", c.tie_embeddings},
               {"torch_dtype", dtype}};
  if (c.rope_scaling == "linear")
    json["rope_scaling"] = {{"rope_type", "linear"}, {"factor", c.rope_factor}};
  if (c.rope_scaling == "llama3") {
    json["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", c.rope_factor},
                            {"low_freq_factor", c.rope_low_freq_factor},
                            {"high_freq_factor", c.rope_high_freq_factor},
                            {"original_max_position_embeddings", c.rope_original_positions}};
  }
  return json;
}

Json llava_json(const LlavaConfig& c, int64_t built_layers, const std::string& dtype) {
  const auto& v = c.vision;
  Json json = {{"model_type", "llava"},
               {"architectures", {"LlavaForConditionalGeneration"}},
               {"text_config", language_json(c.language, dtype)},
               {"vision_config",
                {{"model_type", "clip_vision_model"},
                 {"hidden_size", v.width},
                 {"intermediate_size", v.mlp_width},
                 {"num_hidden_layers", built_layers},
                 {"num_attention_heads", v.num_heads},
                 {"image_size", v.image_side_px},
                 {"patch_size", v.patch_side_px},
                 {"layer_norm_eps", v.norm_eps},
                 {"hidden_act", v.activation},
                 {"projection_dim", v.width}}},
               {"projector_hidden_act", "gelu"},
               {"multimodal_projector_bias", c.projector.bias},
               {"vision_feature_layer", -1},
               {"vision_feature_select_strategy", c.keep_class_token ? "full" : "default"},
               {"image_token_index", c.image_token_id},
               {"image_seq_length", c.image_positions()},
               {"tie_word_embeddings", c.language.tie_embeddings},
               {"torch_dtype", dtype}};
  if (c.projector.kind != "mlp2x_gelu") json["finer_projector"] = c.projector.kind;
  return json;
}

// transformers looks the picture's mark up in the embedding before it overwrites it, so the mark
// needs a row: where the base has none, the next free id, and rows of zeros up to a multiple of 64,
// as llava-hf has them.
LlavaConfig with_image_token(LlavaConfig config) {
  auto& vocab = config.language.vocab_size;
  if (!config.has_vision || config.image_token_id < vocab) return config;
  config.image_token_id = vocab;
  vocab = (vocab / 64 + 1) * 64;
  return config;
}

Json picture_json(const VisionConfig& vision) {
  const PreprocessConfig c;
  return {{"image_processor_type", "CLIPImageProcessor"},
          {"processor_class", "LlavaProcessor"},
          {"do_resize", true},
          {"size", {{"shortest_edge", vision.image_side_px}}},
          {"resample", 3},
          {"do_center_crop", true},
          {"crop_size", {{"height", vision.image_side_px}, {"width", vision.image_side_px}}},
          {"do_rescale", true},
          {"rescale_factor", c.rescale_factor},
          {"do_normalize", true},
          {"image_mean", c.mean},
          {"image_std", c.std},
          {"do_convert_rgb", true}};
}

void copy_if_there(const fs::path& from, const fs::path& to) {
  if (!fs::is_regular_file(from)) return;
  std::ifstream stream(from, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(stream)),
                          std::istreambuf_iterator<char>());
  atomic_write(to, bytes);
}

}  // namespace

void save_model(const Llava& model, const ModelConfig& source, const fs::path& dir) {
  fs::create_directories(dir);
  const auto config = with_image_token(model.config());
  const auto dtype = dtype_from_name(source.dtype);
  std::map<std::string, at::Tensor> tensors;
  model.visit_weights([&](const std::string& name, const at::Tensor& slot) {
    auto value = slot.detach().to(dtype);
    const bool is_row_a_token =
        name == "language_model.embed_tokens.weight" || name == "language_model.lm_head.weight";
    if (is_row_a_token && value.size(0) < config.language.vocab_size) {
      value = at::cat({value, at::zeros({config.language.vocab_size - value.size(0), value.size(1)},
                                        value.options())});
    }
    tensors[published_name(name, config.has_vision)] = value;
  });
  if (config.has_vision) {  // the class asks for it, and nothing uses it
    const auto options = at::TensorOptions().dtype(dtype);
    tensors["vision_tower.vision_model.post_layernorm.weight"] =
        at::ones({config.vision.width}, options);
    tensors["vision_tower.vision_model.post_layernorm.bias"] =
        at::zeros({config.vision.width}, options);
  }
  save_safetensors(dir / "model.safetensors", tensors, {{"format", "pt"}});
  const auto json = config.has_vision ? llava_json(config, model.num_vision_layers(), source.dtype)
                                      : language_json(config.language, source.dtype);
  atomic_write(dir / "config.json", json.dump(2) + "\n");

  const auto tokenizer = tokenizer_path(source);
  if (fs::is_directory(tokenizer)) {
    for (const char* name : {"tokenizer.model", "tokenizer_config.json", "added_tokens.json",
                             "special_tokens_map.json"}) {
      copy_if_there(tokenizer / name, dir / name);
    }
  } else {
    copy_if_there(tokenizer, dir / "tokenizer.model");
  }
  if (!config.has_vision) return;
  if (config.image_token_id != model.config().image_token_id &&
      !fs::exists(dir / "added_tokens.json")) {
    atomic_write(dir / "added_tokens.json",
                 Json{{"<image>", config.image_token_id}}.dump(2) + "\n");
  }
  const auto pictures = preprocessor_dir(source);
  for (const char* name : {"preprocessor_config.json", "processor_config.json"}) {
    if (!pictures.empty()) copy_if_there(pictures / name, dir / name);
  }
  if (!fs::exists(dir / "preprocessor_config.json") && !fs::exists(dir / "processor_config.json")) {
    atomic_write(dir / "preprocessor_config.json", picture_json(config.vision).dump(2) + "\n");
  }
}

uint64_t base_hash(const ModelConfig& source, uint64_t seed) {
  uint64_t hash = hash_bytes("finer base");
  const auto add = [&](const std::string& text) { hash = hash_bytes(text, hash); };
  constexpr std::streamoff kPiece = 1 << 20;
  for (const auto& path : base_files(source)) {
    const auto size = static_cast<std::streamoff>(fs::file_size(path));
    add(path.filename().string() + ":" + std::to_string(size));
    std::ifstream stream(path, std::ios::binary);
    std::string piece(static_cast<size_t>(std::min(size, kPiece)), '\0');
    stream.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    add(piece);
    stream.seekg(std::max<std::streamoff>(0, size - kPiece));
    stream.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    add(piece);
  }
  std::vector<fs::path> settings = {source.tokenizer};
  for (const auto& dir : {source.llava, source.language, source.vision, source.tokenizer}) {
    if (dir.empty() || !fs::is_directory(dir)) continue;
    for (const char* name :
         {"config.json", "tokenizer.model", "tokenizer_config.json", "added_tokens.json",
          "preprocessor_config.json", "processor_config.json"}) {
      settings.push_back(fs::path(dir) / name);
    }
  }
  for (const auto& path : settings) {
    if (!fs::is_regular_file(path)) continue;
    std::ifstream stream(path, std::ios::binary);
    add(path.filename().string());
    add(std::string((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>()));
  }
  if (source.use_from_scratch) {
    add(llava_json(source.from_scratch, source.from_scratch.vision.num_layers, source.dtype)
            .dump() +
        std::to_string(seed));
  }
  return hash;
}

}  // namespace finer
