#pragma once

#include "finer/model/llava.h"

#include <filesystem>
#include <string>

namespace finer {

/// Where original LLaVA is to find the vision tower, and how it is to show it pictures.
struct LlavaLayout {
  std::string vision_tower;  // hub id or directory; empty: it is written into `dir`/vision_tower
  std::string named_dir;     // the directory as the config is to name it, where the tower is in it
  std::string image_aspect = "pad";  // pad | crop
};

/// Throws: ConfigError for what original LLaVA has no layout for: a model of text alone, a
/// projector without biases.
void check_llava_layout(const LlavaConfig& config);

/// A sentence where LLaVA would take the folder for another kind of model, since it goes by names
/// (builder.py); else empty.
std::string misleading_name(const std::string& folder);

/// Writes a LLaVA of haotian-liu/LLaVA: `config.json` with the `mm_*` keys, `model.safetensors`
/// with `model.layers...`, `model.mm_projector.N...`, `lm_head`, the tokenizer, and the vision
/// tower as a CLIP directory, as far as it is built (its last layer is then the one whose features
/// are used). Adapters are not merged. Source: llava/model/llava_arch.py and builder.py of v1.2.2.
void save_llava_layout(const Llava& model, const ModelConfig& source, const LlavaLayout& layout,
                       const std::filesystem::path& dir);

}  // namespace finer
