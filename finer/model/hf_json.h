#pragma once

#include "finer/model/config.h"

#include <nlohmann/json.hpp>

#include <string>

namespace finer {

/// `config.json` of a LLaMA directory. dtype: float32 | bfloat16 | float16.
nlohmann::json language_json(const LanguageConfig& config, const std::string& dtype);

/// `config.json` of a CLIP vision directory with as many layers as are built.
nlohmann::json vision_json(const VisionConfig& config, int64_t built_layers);

/// `config.json` of a llava-hf directory.
nlohmann::json llava_json(const LlavaConfig& config, int64_t built_layers,
                          const std::string& dtype);

/// `preprocessor_config.json` of pictures as CLIP sees them.
nlohmann::json picture_json(const VisionConfig& config);

}  // namespace finer
