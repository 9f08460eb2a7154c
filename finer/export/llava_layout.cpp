#include "finer/export/llava_layout.h"

#include "finer/core/error.h"
#include "finer/io/tensor_file.h"
#include "finer/io/weight_names.h"
#include "finer/model/hf_json.h"
#include "finer/model/load.h"
#include "finer/model/save.h"

#include <cctype>
#include <map>

namespace finer {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Tensors = std::map<std::string, at::Tensor>;

const std::string kLanguage = "language_model.", kVision = "vision_tower.",
                  kProjector = "multi_modal_projector.";

void write_tower(Tensors tower, const Llava& model, const ModelConfig& source,
                 const fs::path& dir) {
  fs::create_directories(dir);
  const auto& config = model.config().vision;
  add_unused_norm(tower, "vision_model.", config.width, dtype_from_name(source.dtype));
  save_safetensors(dir / "model.safetensors", tower, {{"format", "pt"}});
  auto json = vision_json(config, model.num_vision_layers());
  json["architectures"] = {"CLIPVisionModel"};
  json["torch_dtype"] = source.dtype;
  write_json(dir / "config.json", json);
  write_picture_settings(source, config, dir);
}

}  // namespace

void check_llava_layout(const LlavaConfig& config) {
  if (!config.has_vision)
    throw ConfigError(
        "--format llava: the model has no vision tower; merged-hf writes a LLaMA directory");
  if (!config.projector.bias)
    throw ConfigError("--format llava: the projector has no biases, and original LLaVA's has");
}

std::string misleading_name(const std::string& folder) {
  std::string name = folder;
  for (auto& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const char* other : {"mpt", "mistral"}) {
    if (name.find(other) != std::string::npos)
      return folder + ": LLaVA takes a folder with \"" + other +
             "\" in its name for another kind of model; rename it";
  }
  if (name.find("llava") != std::string::npos) return "";
  return folder +
         ": LLaVA loads the vision tower only where \"llava\" is in the folder's name; rename it";
}

void save_llava_layout(const Llava& model, const ModelConfig& source, const LlavaLayout& layout,
                       const fs::path& dir) {
  const auto& config = model.config();
  check_llava_layout(config);
  const bool writes_tower = layout.vision_tower.empty();
  const auto dtype = dtype_from_name(source.dtype);
  Tensors tensors, tower;
  model.visit_weights([&](const std::string& name, const at::Tensor& slot) {
    const auto value = slot.detach().to(dtype);
    const auto rest = [&](const std::string& prefix) { return name.substr(prefix.size()); };
    if (name.rfind(kLanguage + "lm_head.", 0) == 0) {
      tensors[rest(kLanguage)] = value;
    } else if (name.rfind(kLanguage, 0) == 0) {
      tensors["model." + rest(kLanguage)] = value;
    } else if (name.rfind(kProjector, 0) == 0) {
      tensors[original_projector_name(name, config.projector.kind == "linear")] = value;
    } else if (writes_tower) {
      tower["vision_model." + rest(kVision)] = value;
    }
  });
  fs::create_directories(dir);
  save_safetensors(dir / "model.safetensors", tensors, {{"format", "pt"}});
  auto json = language_json(config.language, source.dtype);
  json.update(
      {{"model_type", "llava_llama"},
       {"architectures", {"LlavaLlamaForCausalLM"}},
       {"mm_vision_tower", writes_tower ? layout.named_dir + "/vision_tower" : layout.vision_tower},
       {"mm_hidden_size", config.vision.width},
       {"mm_projector_type", config.projector.kind},
       // hidden_states[N] is the N-th layer's output, of a whole tower as of one that ends there
       {"mm_vision_select_layer", model.num_vision_layers()},
       {"mm_vision_select_feature", config.keep_class_token ? "cls_patch" : "patch"},
       {"mm_use_im_start_end", false},
       {"mm_use_im_patch_token", false},
       {"use_mm_proj", true},
       {"tune_mm_mlp_adapter", false},
       {"image_aspect_ratio", layout.image_aspect == "pad" ? Json("pad") : Json(nullptr)}});
  // LLaVA pins transformers 4.37, which knows linear scaling by "type" alone
  if (config.language.rope_scaling == "linear")
    json["rope_scaling"] = {{"type", "linear"}, {"factor", config.language.rope_factor}};
  write_json(dir / "config.json", json);
  copy_tokenizer(source, dir);
  if (writes_tower) write_tower(std::move(tower), model, source, dir / "vision_tower");
}

}  // namespace finer
