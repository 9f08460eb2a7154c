#include "finer/model/load.h"

#include "finer/core/error.h"
#include "finer/core/rng.h"
#include "finer/io/tensor_file.h"
#include "finer/io/weight_names.h"
#include "finer/model/hf_config.h"

#include <ATen/CPUGeneratorImpl.h>
#include <c10/util/accumulate.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace finer {

namespace {

namespace fs = std::filesystem;

std::string shape_text(at::IntArrayRef shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) out += (i ? ", " : "") + std::to_string(shape[i]);
  return out + "]";
}

// One directory or file of a base model, and the parts of the model it may hold.
struct Source {
  fs::path path;
  std::vector<std::string> parts;
};

std::vector<Source> sources(const ModelConfig& model) {
  const std::string language = "language_model.", vision = "vision_tower.",
                    projector = "multi_modal_projector.";
  std::vector<Source> out;
  switch (base_kind(model)) {
    case BaseKind::kFromScratch:
      break;
    case BaseKind::kLlavaHf:
      out.push_back({model.llava, {language, vision, projector}});
      break;
    case BaseKind::kLlavaOriginal:  // a tower in the LLaVA files was trained: it comes last and
                                    // wins
      out.push_back({model.vision, {vision}});
      out.push_back({model.llava, {language, vision, projector}});
      break;
    case BaseKind::kThreeParts:
      out.push_back({model.language, {language}});
      if (!model.vision.empty()) out.push_back({model.vision, {vision}});
      break;
  }
  if (!model.projector.empty()) out.push_back({model.projector, {projector}});
  return out;
}

// The slots of a model's weights and which of them have been filled.
class Slots {
 public:
  explicit Slots(const Llava& model) : config_(model.config()) {
    model.visit_weights(
        [&](const std::string& name, const at::Tensor& slot) { slots_.emplace(name, slot); });
  }

  void fill_from(const Source& source, bool copies) {
    std::set<std::string> seen;  // within this source
    for (const auto& path : find_weight_files(source.path)) {
      const auto file = open_tensor_file(path);
      for (const auto& [published, info] : file->tensors()) {
        const auto name = canonical_weight_name(published);
        if (name && (name->empty() || is_known_and_unused(*name))) continue;
        const auto slot = name && belongs(*name, source) ? slots_.find(*name) : slots_.end();
        if (slot == slots_.end()) {
          throw CheckpointError(path.string() + ": tensor \"" + published +
                                "\" has no place in the model that the config describes" +
                                parts_text(source));
        }
        if (!seen.insert(*name).second) {
          throw CheckpointError(path.string() + ": tensor \"" + published +
                                "\" is the second one for " + *name);
        }
        if (slot->second.sizes() != at::IntArrayRef(info.shape)) {
          throw CheckpointError(path.string() + ": tensor \"" + published + "\" has shape " +
                                shape_text(info.shape) + ", the config asks for " +
                                shape_text(slot->second.sizes()));
        }
        if (!at::isFloatingType(info.dtype)) {
          throw CheckpointError(path.string() + ": tensor \"" + published + "\" holds " +
                                std::string(c10::toString(info.dtype)) +
                                ", expected a floating-point type");
        }
        if (copies) slot->second.copy_(file->read(published));
        filled_.insert(*name);
      }
    }
  }

  bool lacks_part(const std::string& part) const {
    for (const auto& [name, slot] : slots_) {
      if (name.rfind(part, 0) == 0 && !filled_.count(name)) return true;
    }
    return false;
  }

  void fail_if_missing(const std::string& where, const std::string& except_part) const {
    std::string list;
    size_t count = 0;
    for (const auto& [name, slot] : slots_) {
      if (filled_.count(name) || (!except_part.empty() && name.rfind(except_part, 0) == 0))
        continue;
      if (++count <= 3) list += (list.empty() ? "" : ", ") + name;
    }
    if (count == 0) return;
    throw CheckpointError(where + ": " + std::to_string(count) + " weights are missing: " + list +
                          (count > 3 ? ", ..." : ""));
  }

 private:
  static bool belongs(const std::string& name, const Source& source) {
    for (const auto& part : source.parts) {
      if (name.rfind(part, 0) == 0) return true;
    }
    return false;
  }

  static std::string parts_text(const Source& source) {
    if (source.parts.size() > 1) return "";
    return "; only " + source.parts[0] + "* is read from here";
  }

  // Layers behind the one whose features are used, and the head of a model with tied embeddings.
  bool is_known_and_unused(const std::string& name) const {
    if (name == "language_model.lm_head.weight") return config_.language.tie_embeddings;
    if (name.rfind("vision_tower.post_layernorm.", 0) == 0) return true;
    const std::string layers = "vision_tower.encoder.layers.";
    if (name.rfind(layers, 0) != 0) return false;
    const auto rest = name.substr(layers.size());
    const auto digits = rest.find_first_not_of("0123456789");
    if (digits == 0 || digits > 4) return false;
    const int64_t index = std::stoll(rest.substr(0, digits));
    return index < config_.vision.num_layers && !slots_.count(name) &&
           !slots_.count(layers + std::to_string(index) + ".layer_norm1.weight");
  }

  LlavaConfig config_;
  std::map<std::string, at::Tensor> slots_;
  std::set<std::string> filled_;
};

bool ends_with(const std::string& text, const std::string& suffix) {
  return text.size() >= suffix.size() &&
         text.compare(text.size() - suffix.size(), suffix.size(), suffix) == 0;
}

void init_slot(const std::string& name, const at::Tensor& slot, const LlavaConfig& config,
               uint64_t seed) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(mix_seed(seed, hash_bytes(name)));
  auto value = at::empty(slot.sizes(), at::kFloat);
  const bool is_projector = name.rfind("multi_modal_projector.", 0) == 0;
  if (is_projector) {
    // torch.nn.Linear: uniform within 1 / sqrt(in) for weight and bias
    const bool is_first = name.rfind("multi_modal_projector.linear_1.", 0) == 0;
    const int64_t in = is_first ? config.vision.width : config.language.width;
    const double bound = 1.0 / std::sqrt(static_cast<double>(in));
    value.uniform_(-bound, bound, generator);
  } else if (slot.dim() == 1 && name.find("embedding") == std::string::npos) {
    value.fill_(ends_with(name, ".bias") ? 0.0 : 1.0);
  } else if (name.find("embed") != std::string::npos &&
             name.find("patch_embedding") == std::string::npos) {
    value.normal_(0.0, 0.02, generator);
  } else {
    const double in = static_cast<double>(slot.numel() / slot.size(0));
    const bool writes_residual =
        ends_with(name, "o_proj.weight") || ends_with(name, "down_proj.weight") ||
        ends_with(name, "out_proj.weight") || ends_with(name, "fc2.weight");
    const bool is_vision = name.rfind("vision_tower.", 0) == 0;
    const auto layers =
        static_cast<double>(is_vision ? config.vision.num_layers : config.language.num_layers);
    value.normal_(0.0, (writes_residual ? 1.0 / std::sqrt(2.0 * layers) : 1.0) / std::sqrt(in),
                  generator);
  }
  slot.copy_(value);
}

std::unique_ptr<Llava> build(const ModelConfig& model, at::Device device, bool copies,
                             uint64_t seed) {
  const auto config = read_model_config(model);
  auto options = at::TensorOptions().dtype(dtype_from_name(model.dtype)).device(device);
  auto llava = std::make_unique<Llava>(config, options);
  if (base_kind(model) == BaseKind::kFromScratch && model.projector.empty()) {
    if (copies) init_weights(*llava, seed);
    return llava;
  }
  Slots slots(*llava);
  for (const auto& source : sources(model)) slots.fill_from(source, copies);

  const std::string projector = "multi_modal_projector.";
  const bool draws_projector = base_kind(model) == BaseKind::kThreeParts && model.projector.empty();
  const bool draws_all = base_kind(model) == BaseKind::kFromScratch;
  if (draws_projector || draws_all) {
    if (copies) {
      llava->visit_weights([&](const std::string& name, const at::Tensor& slot) {
        const bool is_projector = name.rfind(projector, 0) == 0;
        if (draws_all ? !is_projector : is_projector) init_slot(name, slot, config, seed);
      });
    }
  }
  if (!draws_all) {
    slots.fail_if_missing(model.llava.empty() ? model.language : model.llava,
                          draws_projector ? projector : "");
  } else if (slots.lacks_part(projector)) {
    throw CheckpointError(model.projector + ": does not hold every weight of the projector");
  }
  return llava;
}

}  // namespace

std::unique_ptr<Llava> load_llava(const ModelConfig& model, at::Device device, uint64_t seed) {
  if (!model.use_from_scratch) plan_llava(model);  // faults before memory is asked for
  try {
    return build(model, device, true, seed);
  } catch (const c10::OutOfMemoryError&) {
    int64_t bytes = 0;
    plan_llava(model)->visit_weights(
        [&](const std::string&, const at::Tensor& slot) { bytes += slot.nbytes(); });
    throw ConfigError("model: its weights in " + model.dtype + " are " +
                      std::to_string(bytes >> 20) + " MiB, which is more than is free on " +
                      device.str() + "; expected a card with more" +
                      (model.dtype == "float32" ? ", or model.dtype: bfloat16" : ""));
  }
}

std::unique_ptr<Llava> plan_llava(const ModelConfig& model) {
  return build(model, at::kMeta, false, 0);
}

void init_weights(Llava& model, uint64_t seed) {
  model.visit_weights([&](const std::string& name, const at::Tensor& slot) {
    init_slot(name, slot, model.config(), seed);
  });
}

std::vector<fs::path> base_files(const ModelConfig& model) {
  std::vector<fs::path> out;
  for (const auto& source : sources(model)) {
    for (auto& path : find_weight_files(source.path)) out.push_back(std::move(path));
  }
  return out;
}

std::string stored_dtype(const ModelConfig& model) {
  std::map<at::ScalarType, int64_t> values;
  for (const auto& path : base_files(model)) {
    const auto file = open_tensor_file(path);
    for (const auto& [published, info] : file->tensors()) {
      const auto name = canonical_weight_name(published);
      if (!name || name->rfind("language_model.", 0) != 0) continue;
      values[info.dtype] += c10::multiply_integers(info.shape);
    }
  }
  const auto most =
      std::max_element(values.begin(), values.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most == values.end()) return "float32";
  return most->first == at::kBFloat16 ? "bfloat16"
         : most->first == at::kHalf   ? "float16"
                                      : "float32";
}

at::ScalarType dtype_from_name(const std::string& name) {
  if (name == "float32") return at::kFloat;
  if (name == "bfloat16") return at::kBFloat16;
  if (name == "float16") return at::kHalf;
  throw ConfigError("dtype \"" + name + "\" is unknown; expected float32, bfloat16 or float16");
}

}  // namespace finer
