#pragma once

#include "data/loader.h"
#include "finer/model/llava.h"
#include "finer/recipe/recipe.h"

#include <memory>
#include <optional>

namespace finer {

/// Model and data of a recipe, opened and held against each other.
struct RunSetup {
  std::unique_ptr<Llava> model;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<data::SampleSource> source;
};

/// Opens the tokenizer and checks it against the model's vocabulary. Throws: DataError.
std::unique_ptr<Tokenizer> open_tokenizer(const ModelConfig& model, const LlavaConfig& config);

data::InputSpec input_spec(const ModelConfig& model, const LlavaConfig& config);

/// with_weights false: nothing is allocated, headers and lora.init_from are checked (dry run).
/// Adapters are attached as the recipe says; with weights, the caller fills them.
RunSetup open_run(const Recipe& recipe, bool with_weights);

}  // namespace finer
