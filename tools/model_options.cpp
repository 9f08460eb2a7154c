#include "tools/model_options.h"

#include "finer/core/error.h"

namespace finer::cli {

void add_model_options(CLI::App& app, SessionConfig& session) {
  app.add_option("--model", session.model.llava,
                 "llava-hf or original LLaVA directory; with the adapter of a run it may be left "
                 "out");
  app.add_option("--language", session.model.language, "Vicuna / LLaMA directory instead");
  app.add_option("--vision", session.model.vision,
                 "CLIP directory, with --language or an original LLaVA model");
  app.add_option("--projector", session.model.projector, "mm_projector.bin or safetensors");
  app.add_option("--tokenizer", session.model.tokenizer, "where it is not the model's own");
  app.add_option("--adapter", session.adapter, "PEFT directory, run or checkpoint");
}

void check_model_options(const SessionConfig& session) {
  if (!session.model.llava.empty() && !session.model.language.empty())
    throw ConfigError("give --model or --language, not both");
}

}  // namespace finer::cli
