#pragma once

#include "data/config.h"
#include "finer/dist/config.h"
#include "finer/eval/config.h"
#include "finer/model/config.h"
#include "finer/train/config.h"
#include "lora/config.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace finer {

/// Everything a run needs, one struct of the parts' own structs. Keys are the field names.
struct Recipe {
  ModelConfig model;
  TrainConfig train;
  lora::LoraConfig lora;
  data::DataConfig data;
  data::BatchConfig batch;
  OptimConfig optim;
  LossConfig loss;
  CheckpointConfig checkpoint;
  LogConfig log;
  TrainEvalConfig eval;  // measured while it trains
  bool has_eval = false;
  dist::DistConfig dist;
  dist::LoadConfig load;
  std::string output;           // run directory
  std::string device = "auto";  // auto | cpu | cuda | cuda:N
  int64_t threads = 0;          // CPU threads of LibTorch; 0: all cores
  uint64_t seed = 0;
};

/// Reads a recipe: file, the files it inherits from by `base:`, then `a.b=c` overrides.
///
/// Paths in a recipe are relative to the working directory, except `base:`, which is relative to
/// the file. Throws: RecipeError with all faults, one a line, each "FILE:LINE: key: ...", nearest
/// key where one is unknown.
Recipe load_recipe(const std::filesystem::path& file, const std::vector<std::string>& overrides);

/// The resolved recipe as YAML: loads to the same recipe.
std::string recipe_to_yaml(const Recipe& recipe);

/// All keys with type, default, range and meaning, as Markdown (docs/recipes.md) or plain text
/// (--explain).
std::string explain_recipe(bool markdown);

}  // namespace finer
