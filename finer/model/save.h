#pragma once

#include "finer/model/llava.h"

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>

namespace finer {

/// Writes the model as a llava-hf directory (a text-only one as a LLaMA directory): `config.json`,
/// `model.safetensors` in the names that every transformers from 4.36 on reads, in the dtype of
/// `model.dtype`; tokenizer and picture settings are copied from the base. Adapters are not merged.
///
/// The vision tower is written as far as it is built: layers behind the features do not exist, so
/// `num_hidden_layers` shrinks and `vision_feature_layer` is -1. A projector that llava-hf cannot
/// say (not mlp2x) is named by the key `finer_projector`, which finer reads back.
///
/// knows_image_token  whether the tokenizer has `<image>` as config.image_token_id; false: it gets
/// a row of its own. Where the id lies behind the vocabulary it gets one anyway.
void save_model(const Llava& model, const ModelConfig& source, const std::filesystem::path& dir,
                bool knows_image_token = true);

/// Copies the base's SentencePiece model and the settings beside it.
void copy_tokenizer(const ModelConfig& source, const std::filesystem::path& dir);

/// Writes `preprocessor_config.json` with the base's picture settings; CLIP's where it has none.
void write_picture_settings(const ModelConfig& source, const VisionConfig& config,
                            const std::filesystem::path& dir);

/// The norm behind CLIP's last layer, which classes ask for and LLaVA does not use: ones and zeros.
void add_unused_norm(std::map<std::string, at::Tensor>& tensors, const std::string& prefix,
                     int64_t width, at::ScalarType dtype);

/// Hash that tells one base from another: settings, tokenizer, and name, size, first and last MiB
/// of its weight files (not every byte: a base may be 100 GB). "from_scratch" models hash their
/// settings and the seed.
uint64_t base_hash(const ModelConfig& source, uint64_t seed);

}  // namespace finer
