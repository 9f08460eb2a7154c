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

/// The name of a projector's weight in original LLaVA: layer N of several is number 2 (N - 1) of a
/// Sequential, a single one is the projector. canonical: `multi_modal_projector.linear_N.x`;
/// returns `model.mm_projector.K.x` or `model.mm_projector.x`.
std::string original_projector_name(const std::string& canonical, bool is_single);

}  // namespace finer
