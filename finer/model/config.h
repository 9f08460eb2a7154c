#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace finer {

/// CLIP vision transformer. Source: https://arxiv.org/abs/2103.00020; `CLIPVisionConfig` of
/// transformers.
struct VisionConfig {
  int64_t width = 1024;      // D
  int64_t mlp_width = 4096;  // F
  int64_t num_layers = 24;
  int64_t num_heads = 16;  // H
  int64_t image_side_px = 336;
  int64_t patch_side_px = 14;
  double norm_eps = 1e-5;
  std::string activation = "quick_gelu";  // quick_gelu | gelu
  int64_t num_patches() const {
    return (image_side_px / patch_side_px) * (image_side_px / patch_side_px);
  }
};

/// LLaMA decoder. Source: https://arxiv.org/abs/2302.13971; `LlamaConfig` of transformers.
struct LanguageConfig {
  int64_t vocab_size = 32000;  // V
  int64_t width = 4096;        // D
  int64_t mlp_width = 11008;   // F
  int64_t num_layers = 32;
  int64_t num_heads = 32;     // H
  int64_t num_kv_heads = 32;  // K
  int64_t head_size = 128;    // C
  int64_t max_positions = 4096;
  double norm_eps = 1e-5;
  double rope_theta = 10000.0;
  std::string rope_scaling = "none";  // none | linear | llama3
  double rope_factor = 1.0;
  double rope_low_freq_factor = 1.0;
  double rope_high_freq_factor = 4.0;
  int64_t rope_original_positions = 8192;
  bool tie_embeddings = false;
};

/// Projector between them. "linear" or "mlpNx_gelu".
struct ProjectorConfig {
  std::string kind = "mlp2x_gelu";
  bool bias = true;
};

struct LlavaConfig {
  VisionConfig vision;
  LanguageConfig language;
  ProjectorConfig projector;
  int64_t feature_layer = -2;     // hidden state that the projector gets; -1 is the last layer's
  bool keep_class_token = false;  // vision_feature_select_strategy "full"
  bool has_vision = true;
  int64_t image_token_id = 32000;  // where llava-hf marks pictures in ids (kept for export)
  int64_t image_positions() const { return vision.num_patches() + (keep_class_token ? 1 : 0); }
};

/// `model:` of a recipe: exactly one of llava, (language + vision + projector), from_scratch.
struct ModelConfig {
  std::string llava;      // llava-hf or original LLaVA directory
  std::string language;   // Vicuna / LLaMA directory
  std::string vision;     // CLIP directory (also beside an original LLaVA directory)
  std::string projector;  // mm_projector.bin or safetensors; empty: initialised from the seed
  std::string tokenizer;  // directory or file; default: the model's own
  std::string dtype = "float32";  // float32 | bfloat16 | float16: of the frozen base
  bool use_from_scratch = false;  // set by the reader when `from_scratch:` is there
  LlavaConfig from_scratch;
};

}  // namespace finer
