#include "finer/eval/session.h"

#include "finer/core/error.h"
#include "finer/core/rng.h"
#include "finer/image/decode.h"
#include "finer/io/tensor_file.h"
#include "finer/model/hf_config.h"
#include "finer/model/load.h"
#include "finer/nn/device.h"
#include "finer/recipe/recipe.h"
#include "finer/train/run_setup.h"
#include "lora/peft_io.h"

#include <optional>

namespace finer {

namespace {

namespace fs = std::filesystem;

// The recipe of the run that a directory belongs to: a run, its adapter, a checkpoint, its adapter.
std::optional<Recipe> recipe_beside(const fs::path& dir) {
  if (dir.empty()) return std::nullopt;
  const auto here = dir.has_filename() ? dir : dir.parent_path();  // "runs/a/" is "runs/a"
  for (const auto& file : {here / "recipe.yaml", here / ".." / "recipe.yaml"}) {
    if (fs::is_regular_file(file)) return load_recipe(file, {});
  }
  return std::nullopt;
}

bool names_a_model(const ModelConfig& model) {
  return !model.llava.empty() || !model.language.empty() || model.use_from_scratch;
}

ModelConfig base_of(const SessionConfig& config, const std::optional<Recipe>& recipe) {
  if (names_a_model(config.model) || recipe) {
    auto model = names_a_model(config.model) ? config.model : recipe->model;
    for (const auto part :
         {&ModelConfig::tokenizer, &ModelConfig::vision, &ModelConfig::projector}) {
      if (!(config.model.*part).empty()) model.*part = config.model.*part;
    }
    if (!config.model.vision.empty()) {
      const auto kind = base_kind(model);
      if (kind == BaseKind::kLlavaHf || kind == BaseKind::kFromScratch)
        throw ConfigError("vision: " + model.vision +
                          " does nothing: the base has a vision tower of its own");
    }
    if (!config.dtype.empty()) model.dtype = config.dtype;
    dtype_from_name(model.dtype);  // before anything is read
    return model;
  }
  if (!config.adapter.empty()) {
    throw ConfigError(config.adapter.string() +
                      ": no recipe.yaml beside it says which model it fits; name the model");
  }
  throw ConfigError("no model is named: expected a model directory, or the adapter of a run");
}

std::string first_of(const std::string& given, const std::string* recorded, const char* otherwise) {
  if (!given.empty()) return given;
  return recorded != nullptr && !recorded->empty() ? *recorded : otherwise;
}

std::string stripped(const std::string& text) {
  const char* kBlanks = " \t\r\n";
  const auto begin = text.find_first_not_of(kBlanks);
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

}  // namespace

BaseModel base_model(const SessionConfig& config) {
  const auto recipe = recipe_beside(config.adapter);
  const bool is_recorded = recipe && !names_a_model(config.model);
  return {base_of(config, recipe), is_recorded ? recipe->seed : config.seed,
          first_of(config.conversation, recipe ? &recipe->data.conversation : nullptr, "vicuna_v1"),
          first_of(config.image_aspect, recipe ? &recipe->data.image_aspect : nullptr, "pad")};
}

fs::path adapter_folder(const fs::path& dir) {
  if (!fs::is_directory(dir)) {
    throw CheckpointError(dir.string() + ": " + (fs::exists(dir) ? "is a file" : "is not there") +
                          "; expected the directory of an adapter, a run or a checkpoint");
  }
  if (fs::exists(dir / "optimizer.safetensors")) {  // a checkpoint
    const auto file = open_tensor_file(dir / "optimizer.safetensors");
    for (const auto& [name, info] : file->tensors()) {
      if (name.rfind("leaf/", 0) == 0 && name.find("multi_modal_projector.") == std::string::npos) {
        throw CheckpointError(
            dir.string() +
            ": is a checkpoint of full tuning, whose weights are not in its adapter; "
            "use the finished run's model folder as the base");
      }
    }
  }
  if (!fs::exists(dir / "adapter_config.json") && fs::is_directory(dir / "model")) {
    throw CheckpointError(
        dir.string() + ": is a run of full tuning; use its model folder as the base (model.llava)");
  }
  const auto folder = fs::is_directory(dir / "adapter") ? dir / "adapter" : dir;
  for (const auto& checkpoint : {dir, dir / ".."}) {
    if (fs::exists(checkpoint / "optimizer.safetensors") && !fs::exists(checkpoint / "COMPLETE")) {
      throw CheckpointError(dir.string() +
                            ": is of a checkpoint that is not complete (no COMPLETE marker)");
    }
  }
  if (!fs::exists(folder / "adapter_config.json") &&
      !fs::exists(folder / "mm_projector.safetensors") && fs::is_directory(dir / "checkpoints")) {
    throw CheckpointError(dir.string() +
                          ": is a run that has not ended; name one of its checkpoints");
  }
  return folder;
}

void add_adapter(Llava& model, const fs::path& dir) {
  if (!dir.empty()) lora::load_adapter(model, adapter_folder(dir));
}

Session::Session(const SessionConfig& config) {
  const auto [source, seed, conversation, aspect] = base_model(config);
  const auto sizes = read_model_config(source);
  tokenizer_ = open_tokenizer(source, sizes);
  conversation_ = conversation_kind(conversation);
  image_aspect_ = finer::image_aspect(aspect);
  preprocess_ = input_spec(source, sizes).preprocess;
  owned_ = load_llava(source, open_device(config.device), seed);
  model_ = owned_.get();
  add_adapter(*model_, config.adapter);
  model_->language().pack();
}

Session::Session(Llava& model, const ModelConfig& source,
                 std::shared_ptr<const Tokenizer> tokenizer, const std::string& conversation,
                 const std::string& image_aspect)
    : model_(&model),
      tokenizer_(std::move(tokenizer)),
      preprocess_(input_spec(source, model.config()).preprocess),
      conversation_(conversation_kind(conversation)),
      image_aspect_(finer::image_aspect(image_aspect)) {}

Picture Session::picture(const fs::path& file) const {
  if (!model_->config().has_vision) {
    throw ConfigError(file.string() + ": the model has no vision tower and takes no picture");
  }
  const auto pixels = preprocess(decode_image(file), preprocess_, image_aspect_);
  const int64_t side = model_->config().vision.image_side_px;
  if (static_cast<int64_t>(pixels.size()) != 3 * side * side) {
    throw ConfigError(file.string() + ": the picture settings give " +
                      std::to_string(pixels.size() / 3) + " pixels, the vision tower takes " +
                      std::to_string(side) + " x " + std::to_string(side) +
                      "; preprocessor_config.json is of another model");
  }
  Picture out;
  out.key = hash_bytes(
      {reinterpret_cast<const char*>(pixels.data()), pixels.size() * sizeof(float)});  // bytes
  out.pixels = at::tensor(pixels).view({1, 3, side, side});
  return out;
}

GeneratePrompt Session::prompt(std::span<const Turn> turns, const Picture* picture,
                               int64_t max_new_tokens) const {
  const auto ids = tokenize_prompt(*tokenizer_, conversation_, turns, picture != nullptr);
  GeneratePrompt out;
  out.max_new_tokens = max_new_tokens;
  out.stop_ids = {tokenizer_->eos_id()};
  const int64_t positions = picture != nullptr ? model_->config().image_positions() : 0;
  for (const int64_t id : ids) {
    if (id == kImageToken) {
      out.image_begin = static_cast<int64_t>(out.ids.size());
      out.ids.insert(out.ids.end(), static_cast<size_t>(positions), 0);
    } else {
      out.ids.push_back(id);
    }
  }
  if (picture != nullptr) {
    out.pixels = picture->pixels;
    out.image_key = picture->key;
  }
  return out;
}

std::string Session::text(const std::vector<int64_t>& ids) const {
  return stripped(tokenizer_->decode(ids));
}

}  // namespace finer
