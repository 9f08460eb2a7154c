#pragma once

#include "finer/image/preprocess.h"
#include "finer/model/config.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>

namespace finer {

/// Whole or not at all (atomic_write).
void write_json(const std::filesystem::path& file, const nlohmann::json& json);

/// `config.json` of a LLaMA directory. dtype: float32 | bfloat16 | float16.
nlohmann::json language_json(const LanguageConfig& config, const std::string& dtype);

/// `config.json` of a CLIP vision directory with as many layers as are built.
nlohmann::json vision_json(const VisionConfig& config, int64_t built_layers);

/// `config.json` of a llava-hf directory.
nlohmann::json llava_json(const LlavaConfig& config, int64_t built_layers,
                          const std::string& dtype);

/// `preprocessor_config.json` of pictures that are prepared so.
nlohmann::json picture_json(const PreprocessConfig& config);

/// `processor_config.json` of a llava-hf directory: how many places a picture takes in the text.
nlohmann::json processor_json(const LlavaConfig& config);

}  // namespace finer
