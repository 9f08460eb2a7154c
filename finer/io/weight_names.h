#pragma once

#include <optional>
#include <string>

namespace finer {

/// The canonical name of a published weight, one for every generation of names:
/// `language_model.{embed_tokens,layers.N...,norm,lm_head}.weight`,
/// `vision_tower.{embeddings...,pre_layrnorm, encoder.layers.N...,post_layernorm}...`,
/// `multi_modal_projector.linear_N.{weight,bias}`.
///
/// Knows llava-hf of transformers 4.36 to 5.x, original LLaVA, plain LLaMA/Vicuna, CLIP directories
/// and `mm_projector.bin`. An empty string marks what a checkpoint may carry and no model needs
/// (rotary tables, position ids, CLIP's text half); nullopt an unknown name.
std::optional<std::string> canonical_weight_name(const std::string& published);

}  // namespace finer
