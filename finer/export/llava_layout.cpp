#include "finer/export/llava_layout.h"

#include "finer/core/atomic_file.h"
#include "finer/core/error.h"
#include "finer/io/tensor_file.h"
#include "finer/model/hf_json.h"
#include "finer/model/load.h"
#include "finer/model/save.h"

#include <map>

namespace finer {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Tensors = std::map<std::string, at::Tensor>;

const std::string kLanguage = "language_model.", kVision = "vision_tower.",
                  kProjector = "multi_modal_projector.linear_";

// Layer N of a projector is number 2 (N - 1) of a Sequential; a single layer is the projector.
std::string projector_name(const std::string& rest, const std::string& kind) {
  const auto dot = rest.find('.');
  const std::string index =
      kind == "linear" ? "" : std::to_string(2 * (std::stoi(rest.substr(0, dot)) - 1)) + ".";
  return "model.mm_projector." + index + rest.substr(dot + 1);
}

void write_json(const fs::path& file, const Json& json) { atomic_write(file, json.dump(2) + "\n"); }

void write_tower(Tensors tower, const Llava& model, const ModelConfig& source,
                 const fs::path& dir) {
  fs::create_directories(dir);
  const auto& config = model.config().vision;
  const auto options = at::TensorOptions().dtype(dtype_from_name(source.dtype));
  // the class asks for it, and nothing uses it
  tower["vision_model.post_layernorm.weight"] = at::ones({config.width}, options);
  tower["vision_model.post_layernorm.bias"] = at::zeros({config.width}, options);
  save_safetensors(dir / "model.safetensors", tower, {{"format", "pt"}});
  auto json = vision_json(config, model.num_vision_layers());
  json["architectures"] = {"CLIPVisionModel"};
  json["torch_dtype"] = source.dtype;
  write_json(dir / "config.json", json);
  write_picture_settings(source, config, dir);
}

}  // namespace

void save_llava_layout(const Llava& model, const ModelConfig& source, const LlavaLayout& layout,
                       const fs::path& dir) {
  const auto& config = model.config();
  FINER_CHECK(config.has_vision, "original LLaVA has no layout for a model of text alone");
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
      tensors[projector_name(rest(kProjector), config.projector.kind)] = value;
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
       {"mm_vision_select_layer", writes_tower ? -1 : config.feature_layer},
       {"mm_vision_select_feature", config.keep_class_token ? "cls_patch" : "patch"},
       {"mm_use_im_start_end", false},
       {"mm_use_im_patch_token", false},
       {"use_mm_proj", true},
       {"tune_mm_mlp_adapter", false},
       {"image_aspect_ratio", layout.image_aspect == "pad" ? Json("pad") : Json(nullptr)}});
  write_json(dir / "config.json", json);
  copy_tokenizer(source, dir);
  if (writes_tower) write_tower(std::move(tower), model, source, dir / "vision_tower");
}

}  // namespace finer
