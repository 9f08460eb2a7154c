#include "finer/model/hf_config.h"

#include "finer/core/error.h"
#include "finer/core/near_miss.h"
#include "finer/io/tensor_file.h"
#include "finer/io/weight_names.h"
#include "finer/model/config_fields.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>

namespace finer {

namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

// One JSON object of a config file, which knows its name for messages.
class ConfigObject {
 public:
  ConfigObject(Json json, std::string where) : json_(std::move(json)), where_(std::move(where)) {
    if (!json_.is_object()) throw ConfigError(where_ + ": expected a JSON object");
  }

  static ConfigObject read(const fs::path& file) {
    std::ifstream stream(file);
    if (!stream)
      throw ConfigError(file.string() + ": cannot be read; a model directory needs a config.json");
    try {
      return {Json::parse(stream), file.string()};
    } catch (const Json::parse_error& error) {
      throw ConfigError(file.string() + ": is not JSON at byte " + std::to_string(error.byte));
    }
  }

  bool has(const std::string& key) const { return json_.contains(key) && !json_.at(key).is_null(); }

  ConfigObject child(const std::string& key) const {
    return {has(key) ? json_.at(key) : Json::object(), where_ + ": " + key};
  }

  int64_t integer(const std::string& key, int64_t otherwise, int64_t low = 1,
                  int64_t high = 1 << 24) const {
    if (!has(key)) return otherwise;
    const auto& value = json_.at(key);
    if (!value.is_number_integer()) fail(key, "a whole number");
    const auto number = value.get<int64_t>();
    if (number < low || number > high) {
      fail(key, "a whole number from " + std::to_string(low) + " to " + std::to_string(high));
    }
    return number;
  }

  double real(const std::string& key, double otherwise) const {
    if (!has(key)) return otherwise;
    if (!json_.at(key).is_number()) fail(key, "a number");
    const double number = json_.at(key).get<double>();
    if (!(number > 0 && number < 1e12)) fail(key, "a number above 0");
    return number;
  }

  std::string text(const std::string& key, const std::string& otherwise) const {
    if (!has(key)) return otherwise;
    if (!json_.at(key).is_string()) fail(key, "a text");
    return json_.at(key).get<std::string>();
  }

  bool flag(const std::string& key, bool otherwise) const {
    if (!has(key)) return otherwise;
    if (!json_.at(key).is_boolean()) fail(key, "true or false");
    return json_.at(key).get<bool>();
  }

  std::string one_of(const std::string& key, const std::string& otherwise,
                     const std::vector<std::string>& allowed) const {
    const auto value = text(key, otherwise);
    for (const auto& name : allowed) {
      if (name == value) return value;
    }
    throw ConfigError(where_ + ": " + key + ": \"" + value + "\" is not implemented" +
                      did_you_mean(value, allowed));
  }

  [[noreturn]] void fail(const std::string& key, const std::string& expected) const {
    throw ConfigError(where_ + ": " + key + ": found " + json_.at(key).dump().substr(0, 60) +
                      ", expected " + expected);
  }

  const std::string& where() const { return where_; }

 private:
  Json json_;
  std::string where_;
};

LanguageConfig read_language(const ConfigObject& config) {
  config.one_of("model_type", "llama", {"llama", "llava", "llava_llama"});
  config.one_of("hidden_act", "silu", {"silu"});
  if (config.flag("attention_bias", false)) config.fail("attention_bias", "false (LLaMA has none)");
  if (config.flag("mlp_bias", false)) config.fail("mlp_bias", "false (LLaMA has none)");
  LanguageConfig out;
  out.vocab_size = config.integer("vocab_size", 32000);
  out.width = config.integer("hidden_size", 4096);
  out.mlp_width = config.integer("intermediate_size", 11008);
  out.num_layers = config.integer("num_hidden_layers", 32, 1, 4096);
  out.num_heads = config.integer("num_attention_heads", 32, 1, 4096);
  out.num_kv_heads = config.integer("num_key_value_heads", out.num_heads, 1, 4096);
  out.head_size = config.integer("head_dim", out.width / out.num_heads, 1, 4096);
  out.max_positions = config.integer("max_position_embeddings", 2048);
  out.norm_eps = config.real("rms_norm_eps", 1e-6);
  out.tie_embeddings = config.flag("tie_word_embeddings", false);

  // transformers 5 keeps theta and scaling together in rope_parameters; before, rope_theta beside
  // rope_scaling.
  const bool is_new = config.has("rope_parameters");
  const auto rope = config.child(is_new ? "rope_parameters" : "rope_scaling");
  out.rope_theta = is_new ? rope.real("rope_theta", 10000.0) : config.real("rope_theta", 10000.0);
  const std::string kind = rope.has("rope_type") ? "rope_type" : "type";
  const auto type = rope.one_of(kind, "default", {"default", "linear", "llama3"});
  out.rope_scaling = type == "default" ? "none" : type;
  if (type != "default") out.rope_factor = rope.real("factor", 1.0);
  if (type == "llama3") {
    out.rope_low_freq_factor = rope.real("low_freq_factor", 1.0);
    out.rope_high_freq_factor = rope.real("high_freq_factor", 4.0);
    out.rope_original_positions = rope.integer("original_max_position_embeddings", 8192);
  }
  return out;
}

VisionConfig read_vision(const ConfigObject& config) {
  config.one_of("model_type", "clip_vision_model", {"clip_vision_model"});
  VisionConfig out;
  out.width = config.integer("hidden_size", 768);
  out.mlp_width = config.integer("intermediate_size", 3072);
  out.num_layers = config.integer("num_hidden_layers", 12, 1, 4096);
  out.num_heads = config.integer("num_attention_heads", 12, 1, 4096);
  out.image_side_px = config.integer("image_size", 224, 1, 1 << 14);
  out.patch_side_px = config.integer("patch_size", 32, 1, 1 << 14);
  out.norm_eps = config.real("layer_norm_eps", 1e-5);
  out.activation = config.one_of("hidden_act", "quick_gelu", {"quick_gelu", "gelu"});
  return out;
}

// A CLIP directory holds a vision model alone, or both towers with `vision_config`.
VisionConfig read_clip_dir(const fs::path& dir) {
  const auto config = ConfigObject::read(dir / "config.json");
  return read_vision(config.has("vision_config") ? config.child("vision_config") : config);
}

// Number of layers and biases, from the names in mm_projector.bin (or safetensors).
ProjectorConfig read_projector_file(const fs::path& path) {
  ProjectorConfig out{.kind = "", .bias = false};
  int64_t num_layers = 0;
  for (const auto& weight_file : find_weight_files(path)) {
    const auto file = open_tensor_file(weight_file);  // owns the names
    for (const auto& [published, info] : file->tensors()) {
      const auto name = canonical_weight_name(published).value_or("");
      const std::string prefix = "multi_modal_projector.linear_";
      if (name.rfind(prefix, 0) != 0)
        continue;  // a left-over tensor is named when the file is read
      num_layers = std::max<int64_t>(num_layers, name[prefix.size()] - '0');
      if (name.size() > 5 && name.substr(name.size() - 5) == ".bias") out.bias = true;
    }
  }
  if (num_layers < 1 || num_layers > 9) {
    throw CheckpointError(path.string() +
                          ": holds no projector (mm_projector.* or multi_modal_projector.*)");
  }
  out.kind = num_layers == 1 ? "linear" : "mlp" + std::to_string(num_layers) + "x_gelu";
  return out;
}

void read_projector_type(const ConfigObject& config, const std::string& key, LlavaConfig& out) {
  out.projector.kind = config.text(key, "linear");
  if (!is_projector_kind(out.projector.kind)) {
    config.fail(key, "linear or mlpNx_gelu with N from 1 to 16");
  }
}

LlavaConfig read_llava_hf(const ConfigObject& config) {
  LlavaConfig out;
  out.language = read_language(config.child("text_config"));
  if (!config.child("text_config").has("tie_word_embeddings")) {
    out.language.tie_embeddings = config.flag("tie_word_embeddings", false);
  }
  auto vision = config.child("vision_config");
  out.vision = read_vision(vision);
  config.one_of("projector_hidden_act", "gelu", {"gelu"});
  if (config.has("finer_projector")) {
    read_projector_type(config, "finer_projector", out);
  } else {
    out.projector.kind = "mlp2x_gelu";
  }
  out.projector.bias = config.flag("multimodal_projector_bias", true);
  out.feature_layer = config.integer("vision_feature_layer", -2, -4096, 4096);
  out.keep_class_token =
      config.one_of("vision_feature_select_strategy", "default", {"default", "full"}) == "full";
  const std::string key = config.has("image_token_index") ? "image_token_index" : "image_token_id";
  out.image_token_id = config.integer(key, 32000, 0);
  return out;
}

LlavaConfig read_llava_original(const ConfigObject& config, const ModelConfig& model) {
  LlavaConfig out;
  out.language = read_language(config);
  if (model.vision.empty()) {
    throw ConfigError(config.where() + ": is an original LLaVA model, whose vision tower (" +
                      config.text("mm_vision_tower", "not named") +
                      ") is a directory of its own: give it as model.vision");
  }
  out.vision = read_clip_dir(model.vision);
  read_projector_type(config, "mm_projector_type", out);
  out.feature_layer = config.integer("mm_vision_select_layer", -2, -4096, 4096);
  out.keep_class_token =
      config.one_of("mm_vision_select_feature", "patch", {"patch", "cls_patch"}) == "cls_patch";
  if (config.flag("mm_use_im_start_end", false))
    config.fail("mm_use_im_start_end", "false, as in LLaVA-1.5");
  return out;
}

}  // namespace

BaseKind base_kind(const ModelConfig& model) {
  if (model.use_from_scratch) return BaseKind::kFromScratch;
  if (model.llava.empty()) return BaseKind::kThreeParts;
  const auto config = ConfigObject::read(fs::path(model.llava) / "config.json");
  return config.has("text_config") || config.has("vision_config") ? BaseKind::kLlavaHf
                                                                  : BaseKind::kLlavaOriginal;
}

LlavaConfig read_model_config(const ModelConfig& model) {
  LlavaConfig out;
  std::string where = "model.from_scratch";
  switch (base_kind(model)) {
    case BaseKind::kFromScratch:
      out = model.from_scratch;
      break;
    case BaseKind::kThreeParts: {
      const auto config = ConfigObject::read(fs::path(model.language) / "config.json");
      where = config.where();
      out.language = read_language(config);
      out.has_vision = !model.vision.empty();
      if (out.has_vision) out.vision = read_clip_dir(model.vision);
      if (!model.projector.empty()) out.projector = read_projector_file(model.projector);
      break;
    }
    default: {
      const auto config = ConfigObject::read(fs::path(model.llava) / "config.json");
      where = config.where();
      const auto type = config.one_of("model_type", "llava", {"llava", "llava_llama"});
      out = base_kind(model) == BaseKind::kLlavaHf ? read_llava_hf(config)
                                                   : read_llava_original(config, model);
    }
  }
  check_model_config(out, where);
  return out;
}

std::filesystem::path tokenizer_path(const ModelConfig& model) {
  if (!model.tokenizer.empty()) return model.tokenizer;
  if (!model.llava.empty()) return model.llava;
  if (!model.language.empty()) return model.language;
  throw ConfigError(
      "model.tokenizer: a model from scratch needs a tokenizer; name a tokenizer.model or its "
      "folder");
}

std::filesystem::path preprocessor_dir(const ModelConfig& model) {
  if (!model.vision.empty()) return model.vision;
  return model.llava;
}

void check_model_config(const LlavaConfig& config, const std::string& where) {
  const auto& l = config.language;
  const auto check = [&](bool holds, const std::string& what) {
    if (!holds) throw ConfigError(where + ": " + what);
  };
  const auto text = [](int64_t n) { return std::to_string(n); };
  check(l.num_heads % l.num_kv_heads == 0, text(l.num_heads) + " query heads do not split into " +
                                               text(l.num_kv_heads) + " key/value heads");
  check(l.head_size >= 2, text(l.num_heads) + " heads do not fit a width of " + text(l.width));
  check(l.head_size % 2 == 0,
        "the head size " + text(l.head_size) + " is odd; rotary positions need pairs");
  if (!config.has_vision) return;
  const auto& v = config.vision;
  check(v.width % v.num_heads == 0, "the vision width " + text(v.width) + " does not split into " +
                                        text(v.num_heads) + " heads");
  check(v.patch_side_px <= v.image_side_px, "patches of " + text(v.patch_side_px) +
                                                " pixels do not fit a picture of " +
                                                text(v.image_side_px));
  const int64_t states = v.num_layers + 1;
  check(config.feature_layer < states && config.feature_layer >= -states,
        "vision feature layer " + text(config.feature_layer) + " is out of range; the tower has " +
            text(v.num_layers) + " layers");
}

}  // namespace finer
