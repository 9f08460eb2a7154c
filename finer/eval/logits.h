#pragma once

#include "data/pack.h"
#include "finer/model/llava.h"
#include "finer/recipe/recipe.h"

#include <filesystem>
#include <string>

namespace finer {

/// Writes `logits.N` [T, V] float32 of each line of a tokens file (finer-data tokenize), image
/// positions included.
///
/// device: auto | cpu | cuda | cuda:N. adapter: PEFT directory, or a checkpoint that holds one;
/// empty: the base alone. Throws: DataError, ConfigError, CheckpointError.
void write_logits(const ModelConfig& model, const std::filesystem::path& adapter,
                  const std::filesystem::path& tokens, const std::filesystem::path& images,
                  const std::string& image_aspect, const std::string& device,
                  const std::filesystem::path& out);

/// Sum of the losses of a packed row's targets, each counted once whatever its set's weight. No
/// gradients.
double loss_sum(Llava& model, const data::PackedBatch& packed, int64_t chunk_tokens);

struct DataLoss {
  double loss = 0;  // mean over label tokens
  int64_t label_tokens = 0;
};

/// Loss of a recipe's data under its model (and lora.init_from or `adapter`), every sample once, no
/// training.
DataLoss data_loss(const Recipe& recipe, const std::filesystem::path& adapter);

}  // namespace finer
