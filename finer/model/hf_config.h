#pragma once

#include "finer/model/config.h"

#include <filesystem>

namespace finer {

/// What kind of base a recipe's `model:` names (design, "What can be read as a base model").
enum class BaseKind { kLlavaHf, kLlavaOriginal, kThreeParts, kFromScratch };

BaseKind base_kind(const ModelConfig& model);

/// Sizes and settings of the whole model, from the directories' `config.json` files.
///
/// Reads llava-hf configs of transformers 4.36 to 5.x (`rope_theta` or `rope_parameters`), original
/// LLaVA configs
/// (`mm_*` keys) with a CLIP directory, plain LLaMA and CLIP configs. Keys that a file leaves out
/// have the defaults of the transformers class; architectures that finer does not implement are
/// refused by name. Throws: ConfigError naming file and key.
LlavaConfig read_model_config(const ModelConfig& model);

/// Directory or file the tokenizer is read from: `model.tokenizer`, else the model's own directory.
/// Throws: ConfigError where the recipe needs to name one.
std::filesystem::path tokenizer_path(const ModelConfig& model);

/// Directory that holds the picture processor's settings: the llava-hf or CLIP directory; empty for
/// from_scratch.
std::filesystem::path preprocessor_dir(const ModelConfig& model);

/// Checks the sizes against each other. Throws: ConfigError.
void check_model_config(const LlavaConfig& config, const std::string& where);

}  // namespace finer
