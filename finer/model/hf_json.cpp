#include "finer/model/hf_json.h"

#include "finer/core/atomic_file.h"

namespace finer {

using Json = nlohmann::json;

void write_json(const std::filesystem::path& file, const Json& json) {
  atomic_write(file, json.dump(2) + "\n");
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

Json vision_json(const VisionConfig& c, int64_t built_layers) {
  return {{"model_type", "clip_vision_model"},  {"hidden_size", c.width},
          {"intermediate_size", c.mlp_width},   {"num_hidden_layers", built_layers},
          {"num_attention_heads", c.num_heads}, {"image_size", c.image_side_px},
          {"patch_size", c.patch_side_px},      {"layer_norm_eps", c.norm_eps},
          {"hidden_act", c.activation},         {"projection_dim", c.width}};
}

Json llava_json(const LlavaConfig& c, int64_t built_layers, const std::string& dtype) {
  Json json = {{"model_type", "llava"},
               {"architectures", {"LlavaForConditionalGeneration"}},
               {"text_config", language_json(c.language, dtype)},
               {"vision_config", vision_json(c.vision, built_layers)},
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

Json picture_json(const PreprocessConfig& c) {
  const Json size = c.resize_shortest_px > 0
                        ? Json{{"shortest_edge", c.resize_shortest_px}}
                        : Json{{"height", c.resize_height_px}, {"width", c.resize_width_px}};
  return {{"image_processor_type", "CLIPImageProcessor"},
          {"processor_class", "LlavaProcessor"},
          {"do_resize", c.do_resize},
          {"size", size},
          {"resample", 3},
          {"do_center_crop", c.do_center_crop},
          {"crop_size", {{"height", c.crop_height_px}, {"width", c.crop_width_px}}},
          {"do_rescale", c.do_rescale},
          {"rescale_factor", c.rescale_factor},
          {"do_normalize", c.do_normalize},
          {"image_mean", c.mean},
          {"image_std", c.std},
          {"do_convert_rgb", true}};
}

Json processor_json(const LlavaConfig& c) {
  return {{"processor_class", "LlavaProcessor"},
          {"image_token", "<image>"},
          {"patch_size", c.vision.patch_side_px},
          {"num_additional_image_tokens", 1},  // the class token
          {"vision_feature_select_strategy", c.keep_class_token ? "full" : "default"}};
}

}  // namespace finer
