#pragma once

#include "finer/core/fields.h"
#include "finer/model/config.h"

#include <algorithm>
#include <string>

namespace finer {

// Upper bounds keep every product of sizes far below 2^63, whatever a recipe says.

/// "linear" or "mlpNx_gelu" with N from 1 to 16.
inline bool is_projector_kind(const std::string& kind) {
  if (kind == "linear") return true;
  const std::string before = "mlp", after = "x_gelu";
  if (kind.size() <= before.size() + after.size() || kind.size() > 11) return false;
  const std::string number = kind.substr(before.size(), kind.size() - before.size() - after.size());
  return kind == before + number + after && number[0] != '0' &&
         std::all_of(number.begin(), number.end(), [](char c) { return c >= '0' && c <= '9'; }) &&
         std::stoi(number) <= 16;
}

inline void describe(FieldVisitor& v, VisionConfig& c) {
  v.field("width", c.width, "size of the residual stream", between(1, 65536));
  v.field("mlp_width", c.mlp_width, "hidden size of an MLP", between(1, 262144));
  v.field("num_layers", c.num_layers, "transformer layers", between(1, 1024));
  v.field("num_heads", c.num_heads, "attention heads; they divide the width", between(1, 1024));
  v.field("image_side_px", c.image_side_px, "side of the square picture", between(1, 4096));
  v.field("patch_side_px", c.patch_side_px, "side of a patch; it divides the picture's",
          between(1, 4096));
  v.field("norm_eps", c.norm_eps, "added to the variance in LayerNorm", above(0), at_most(1));
  v.field("activation", c.activation, "activation of the MLPs", one_of("quick_gelu", "gelu"));
}

inline void describe(FieldVisitor& v, LanguageConfig& c) {
  v.field("vocab_size", c.vocab_size, "rows of the embedding", between(1, 4194304));
  v.field("width", c.width, "size of the residual stream", between(1, 65536));
  v.field("mlp_width", c.mlp_width, "hidden size of an MLP", between(1, 262144));
  v.field("num_layers", c.num_layers, "decoder layers", between(1, 1024));
  v.field("num_heads", c.num_heads, "query heads", between(1, 1024));
  v.field("num_kv_heads", c.num_kv_heads, "key and value heads; they divide num_heads",
          default_is("num_heads"), between(1, 1024));
  v.field("head_size", c.head_size, "size of a head, even", default_is("width / num_heads"),
          between(2, 4096));
  v.field("max_positions", c.max_positions, "longest sequence the model is made for",
          between(1, 16777216));
  v.field("norm_eps", c.norm_eps, "added to the mean square in RMSNorm", above(0), at_most(1));
  v.field("rope_theta", c.rope_theta, "base of the rotary angles", at_least(1), at_most(1e12));
  v.field("rope_scaling", c.rope_scaling, "how rotary angles are stretched",
          one_of("none", "linear", "llama3"));
  v.field("rope_factor", c.rope_factor, "linear, llama3: stretch", at_least(1), at_most(1e6));
  v.field("rope_low_freq_factor", c.rope_low_freq_factor, "llama3: where the full stretch ends",
          above(0), at_most(1e6));
  v.field("rope_high_freq_factor", c.rope_high_freq_factor, "llama3: where no stretch begins",
          above(0), at_most(1e6));
  v.field("rope_original_positions", c.rope_original_positions,
          "llama3: longest sequence before the stretch", between(1, 16777216));
  v.field("tie_embeddings", c.tie_embeddings, "the head is the embedding");
}

inline void describe(FieldVisitor& v, ProjectorConfig& c) {
  v.field(
      "kind", c.kind, "layers between vision and language",
      matches("linear or mlpNx_gelu with N from 1 to 16, such as mlp2x_gelu", is_projector_kind));
  v.field("bias", c.bias, "whether its layers have a bias");
}

inline void describe(FieldVisitor& v, LlavaConfig& c) {
  v.field("language", c.language, "LLaMA decoder", required());
  v.optional_field("vision", c.vision, c.has_vision,
                   "CLIP vision transformer; without this section the model reads text only");
  v.field("projector", c.projector, "from vision features to the decoder's width");
  v.field("feature_layer", c.feature_layer,
          "hidden state of the vision model that the projector gets; -1 is the last layer's",
          between(-1025, 1024));
  v.field("keep_class_token", c.keep_class_token, "the class token is a feature like the patches");
  v.field("image_token_id", c.image_token_id, "marks pictures in exported models",
          between(0, 2147483647));
}

inline void describe(FieldVisitor& v, ModelConfig& c) {
  v.field("llava", c.llava, "directory of a llava-hf or original LLaVA model");
  v.field(
      "language", c.language,
      "directory of a Vicuna or LLaMA model, instead of llava; without vision it reads text only");
  v.field("vision", c.vision,
          "directory of a CLIP model, beside language or an original LLaVA directory");
  v.field(
      "projector", c.projector,
      "mm_projector.bin or safetensors, beside language and vision; empty: drawn from the seed");
  v.field("tokenizer", c.tokenizer,
          "directory or file; empty: the model's own (from_scratch has none, so it needs this)");
  v.field("dtype", c.dtype, "of the weights that do not train",
          one_of("float32", "bfloat16", "float16"));
  v.optional_field("from_scratch", c.from_scratch, c.use_from_scratch,
                   "sizes of a new model, drawn from the seed, instead of llava or language");
}

}  // namespace finer
