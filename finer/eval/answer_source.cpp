#include "finer/eval/answer_source.h"

#include "finer/core/error.h"
#include "finer/core/rng.h"
#include "finer/eval/eval_set.h"
#include "finer/model/save.h"
#include "finer/recipe/recipe.h"

#include <set>

namespace finer {

namespace {

namespace fs = std::filesystem;

// Of every small file, and of the weights, of an adapter's directory.
uint64_t adapter_hash(const fs::path& given) {
  if (!fs::is_directory(given)) {
    throw CheckpointError(given.string() + ": " +
                          (fs::exists(given) ? "is a file" : "is not there") +
                          "; expected the directory of an adapter, a run or a checkpoint");
  }
  const fs::path dir = fs::is_directory(given / "adapter") ? given / "adapter" : given;
  std::set<fs::path> files;
  for (const auto& entry : fs::directory_iterator(dir)) {
    const auto extension = entry.path().extension();
    const bool decides = extension == ".safetensors" || extension == ".bin" ||
                         entry.path().filename() == "adapter_config.json";
    if (entry.is_regular_file() && decides) files.insert(entry.path());
  }
  uint64_t hash = 0;
  for (const auto& file : files) {
    hash = mix_seed(hash, hash_bytes(file.filename().string()));
    hash = mix_seed(hash, file_hash(file));
  }
  return hash;
}

}  // namespace

std::map<std::string, std::string> model_settings(const EvalModelConfig& model,
                                                  const EvalRecipe& recipe) {
  std::map<std::string, std::string> out;
  out["model.dtype"] = model.base.dtype;
  out["conversation"] = recipe.conversation;
  out["image_aspect"] = recipe.image_aspect;
  ModelConfig base = model.base;
  uint64_t seed = 0;
  if (!model.adapter.empty()) {
    out["model.adapter"] = hash_text(adapter_hash(model.adapter));
    // The run's own recipe names the base, the template and the picture settings where the
    // evaluation does not.
    const fs::path dir = fs::path(model.adapter) / "";
    for (const auto& file : {dir / "recipe.yaml", dir / ".." / "recipe.yaml"}) {
      if (!fs::is_regular_file(file)) continue;
      const auto run = load_recipe(file, {});
      if (base.llava.empty() && base.language.empty()) {
        base = run.model;
        seed = run.seed;
        out["model.dtype"] = base.dtype;
      }
      if (recipe.conversation.empty()) out["conversation"] = run.data.conversation;
      if (recipe.image_aspect.empty()) out["image_aspect"] = run.data.image_aspect;
      break;
    }
  }
  if (out["conversation"].empty()) out["conversation"] = "vicuna_v1";
  if (out["image_aspect"].empty()) out["image_aspect"] = "pad";
  const bool is_named = !base.llava.empty() || !base.language.empty() || base.use_from_scratch;
  if (is_named) out["model.base"] = hash_text(base_hash(base, seed));
  return out;
}

SessionConfig session_config(const EvalModelConfig& model, const EvalRecipe& recipe) {
  SessionConfig config;
  config.model = model.base;
  config.adapter = model.adapter;
  config.conversation = recipe.conversation;
  config.image_aspect = recipe.image_aspect;
  config.device = recipe.device;
  return config;
}

}  // namespace finer
