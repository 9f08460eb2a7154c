#include "finer/train/run_setup.h"

#include "finer/core/error.h"
#include "finer/model/hf_config.h"
#include "finer/model/load.h"
#include "finer/nn/device.h"
#include "lora/attach.h"
#include "lora/peft_io.h"

#include <ATen/Parallel.h>

namespace finer {

std::unique_ptr<Tokenizer> open_tokenizer(const ModelConfig& model, const LlavaConfig& config) {
  const auto path = tokenizer_path(model);
  auto tokenizer = std::make_unique<Tokenizer>(Tokenizer::load(path));
  const int64_t has = tokenizer->vocab_size(), wants = config.language.vocab_size;
  constexpr int64_t kPaddingRows = 256;  // embeddings are often padded to a multiple of 64 or 128
  if (has > wants || has + kPaddingRows < wants) {
    throw DataError(path.string() + ": the tokenizer has " + std::to_string(has) +
                    " ids, the model " + std::to_string(wants) +
                    " embedding rows; they do not belong together (model.tokenizer)");
  }
  return tokenizer;
}

data::InputSpec input_spec(const ModelConfig& model, const LlavaConfig& config) {
  data::InputSpec spec;
  if (!config.has_vision) return spec;
  spec.preprocess = PreprocessConfig::load(preprocessor_dir(model), config.vision.image_side_px);
  spec.image_positions = config.image_positions();
  spec.image_side_px = config.vision.image_side_px;
  return spec;
}

RunSetup open_run(const Recipe& recipe, bool with_weights) {
  RunSetup run;
  const auto config = read_model_config(recipe.model);
  run.tokenizer = open_tokenizer(recipe.model, config);
  run.source = std::make_unique<data::SampleSource>(recipe.data, *run.tokenizer,
                                                    input_spec(recipe.model, config));
  if (recipe.threads > 0) at::set_num_threads(static_cast<int>(recipe.threads));
  run.model = with_weights ? load_llava(recipe.model, open_device(recipe.device), recipe.seed)
                           : plan_llava(recipe.model);
  const lora::AttachParts parts{recipe.train.language == "lora", recipe.train.vision == "lora"};
  if (parts.language || parts.vision) lora::attach(*run.model, recipe.lora, parts, recipe.seed);
  // A dry run fills nothing: on the meta device this reads the adapter and compares names, shapes
  // and scales.
  if (!with_weights && !recipe.lora.init_from.empty())
    lora::fill_adapter(*run.model, recipe.lora.init_from);
  return run;
}

}  // namespace finer
