#include "lora/peft_io.h"

#include "finer/core/atomic_file.h"
#include "finer/core/build_info.h"
#include "finer/core/error.h"
#include "finer/core/log.h"
#include "finer/io/tensor_file.h"
#include "finer/io/weight_names.h"
#include "finer/model/fingerprint.h"
#include "lora/attach.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <fstream>
#include <optional>
#include <regex>
#include <set>

namespace finer::lora {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kProjector = "multi_modal_projector.";
constexpr const char* kBaseSample = "finer_base_";  // and the part's name: a key of the metadata

bool starts_with(const std::string& text, const std::string& prefix) {
  return text.rfind(prefix, 0) == 0;
}
bool take_suffix(std::string& text, const std::string& suffix) {
  if (text.size() < suffix.size() ||
      text.compare(text.size() - suffix.size(), suffix.size(), suffix) != 0)
    return false;
  text.resize(text.size() - suffix.size());
  return true;
}
void drop_all(std::string& text, const std::string& word) {
  for (auto at = text.find(word); at != std::string::npos; at = text.find(word))
    text.erase(at, word.size());
}

// Canonical path to the module path in transformers >= 4.52.
std::string peft_path(const std::string& canonical, bool has_vision) {
  const std::string language = "language_model.", vision = "vision_tower.";
  if (starts_with(canonical, language)) {
    return has_vision ? "model." + canonical : "model." + canonical.substr(language.size());
  }
  if (starts_with(canonical, vision))
    return "model.vision_tower.vision_model." + canonical.substr(vision.size());
  return "model." + canonical;
}

// One adapted layer of the model or of a file.
struct LayerAdapter {
  at::Tensor A, B;  // [R, in], [out, R]
};

// A regular expression that matches exactly the module paths that hold adapters, in every
// generation of names.
std::string target_regex(const std::set<std::string>& paths, bool has_vision) {
  std::set<std::string> language_names, vision_names;
  std::set<std::string> language_layers, vision_layers;
  for (const auto& path : paths) {
    const bool is_vision = starts_with(path, "vision_tower.");
    const auto layers = path.find("layers.") + 7;
    const auto dot = path.find('.', layers);
    (is_vision ? vision_layers : language_layers).insert(path.substr(layers, dot - layers));
    (is_vision ? vision_names : language_names).insert(path.substr(dot + 1));
  }
  const auto any_of = [](const std::set<std::string>& words) {
    std::string out;
    for (const auto& word : words)
      out += (out.empty() ? "" : "|") + std::regex_replace(word, std::regex("\\."), "\\.");
    return "(" + out + ")";
  };
  std::string out;
  if (!language_names.empty()) {
    out = std::string(has_vision ? "(.*\\.)?language_model\\.(.*\\.)?" : "(.*\\.)?") + "layers\\." +
          any_of(language_layers) + "\\." + any_of(language_names);
  }
  if (!vision_names.empty()) {
    out += std::string(out.empty() ? "" : "|") + "(.*\\.)?vision_tower\\.(.*\\.)?layers\\." +
           any_of(vision_layers) + "\\." + any_of(vision_names);
  }
  return out;
}

Json read_json(const fs::path& file) {
  std::ifstream stream(file);
  if (!stream)
    throw CheckpointError(file.string() + ": cannot be read; an adapter directory needs it");
  try {
    return Json::parse(stream);
  } catch (const Json::parse_error& error) {
    throw CheckpointError(file.string() + ": is not JSON at byte " + std::to_string(error.byte));
  }
}

template <class T>
T get(const Json& json, const std::string& key, T otherwise, const fs::path& file) {
  if (!json.contains(key) || json.at(key).is_null()) return otherwise;
  try {
    return json.at(key).get<T>();
  } catch (const Json::exception&) {
    throw CheckpointError(file.string() + ": " + key + " has another type than PEFT writes: " +
                          json.at(key).dump().substr(0, 60));
  }
}

// rank_pattern / alpha_pattern of PEFT: regular expressions that match the end of a module path.
template <class Value>
Value pattern_value(const std::map<std::string, Value>& patterns, const std::string& canonical,
                    bool has_vision, Value otherwise) {
  const auto path = peft_path(canonical, has_vision);
  for (const auto& [pattern, value] : patterns) {
    if (pattern.size() > 500)
      throw CheckpointError("adapter_config.json: a pattern of over 500 characters");
    try {
      const auto re = std::regex("(.*\\.)?(" + pattern + ")",
                                 std::regex::ECMAScript | std::regex_constants::__polynomial);
      if (std::regex_match(path, re) || std::regex_match(canonical, re)) return value;
    } catch (const std::regex_error&) {
      throw CheckpointError("adapter_config.json: pattern \"" + pattern +
                            "\" is not a regular expression");
    }
  }
  return otherwise;
}

// Everything an adapter directory holds, under canonical names.
struct AdapterFiles {
  AdapterInfo info;
  bool has_lora = false;
  std::map<std::string, LayerAdapter> layers;
  std::map<std::string, at::Tensor> projector;
};

void read_tensors(const fs::path& path, AdapterFiles& out) {
  const auto file = open_tensor_file(path);
  for (const auto& [published, info] : file->tensors()) {
    std::string name = published;
    if (starts_with(name, "base_model.model."))
      name = name.substr(std::string("base_model.model.").size());
    drop_all(name, "modules_to_save.default.");
    drop_all(name, "modules_to_save.");
    drop_all(name, ".default");
    const bool is_A = take_suffix(name, ".lora_A.weight"),
               is_B = !is_A && take_suffix(name, ".lora_B.weight");
    const auto canonical = canonical_weight_name(is_A || is_B ? name + ".weight" : name);
    const auto fail = [&](const std::string& why) {
      throw CheckpointError(path.string() + ": tensor \"" + published + "\" " + why);
    };
    if (!canonical || canonical->empty()) fail("has no place in an adapter");
    if (!at::isFloatingType(info.dtype)) fail("does not hold floating-point numbers");
    if (is_A || is_B) {
      std::string layer = *canonical;
      take_suffix(layer, ".weight");
      if (info.shape.size() != 2) fail("is not a matrix");
      auto& entry = out.layers[layer];
      auto& slot = is_A ? entry.A : entry.B;
      if (slot.defined()) fail("is there twice");
      slot = file->read(published);
    } else if (starts_with(*canonical, kProjector)) {
      out.projector[*canonical] = file->read(published);
    } else {
      fail("is neither an adapter nor the projector");
    }
  }
}

AdapterFiles read_adapter_files(const fs::path& dir) {
  AdapterFiles out;
  if (!fs::is_directory(dir)) throw CheckpointError(dir.string() + ": is not an adapter directory");
  if (!fs::exists(dir / "adapter_config.json") && fs::exists(dir / "mm_projector.safetensors")) {
    read_tensors(dir / "mm_projector.safetensors", out);
    return out;
  }
  out.info = read_adapter_info(dir);
  out.has_lora = true;
  const auto safetensors = dir / "adapter_model.safetensors", bin = dir / "adapter_model.bin";
  read_tensors(fs::exists(safetensors) || !fs::exists(bin) ? safetensors : bin, out);
  if (fs::exists(dir / "non_lora_trainables.bin"))
    read_tensors(dir / "non_lora_trainables.bin", out);
  for (const auto& [layer, entry] : out.layers) {
    if (!entry.A.defined() || !entry.B.defined()) {
      throw CheckpointError(dir.string() + ": " + layer + " has only one of lora_A and lora_B");
    }
    if (entry.A.size(0) != entry.B.size(1)) {
      throw CheckpointError(dir.string() + ": " + layer + ": lora_A has rank " +
                            std::to_string(entry.A.size(0)) + ", lora_B " +
                            std::to_string(entry.B.size(1)));
    }
  }
  return out;
}

double scale_of(const AdapterInfo& info, const std::string& path, int64_t rank, bool has_vision) {
  const double alpha =
      pattern_value(info.config.alpha_pattern, path, has_vision, info.config.alpha);
  const auto r = static_cast<double>(rank);
  return alpha / (info.config.rslora ? std::sqrt(r) : r);
}

void fill_projector(Llava& model, const AdapterFiles& files, const fs::path& dir) {
  if (files.projector.empty()) return;
  if (!model.projector())
    throw CheckpointError(dir.string() + ": holds a projector, the model is text-only");
  std::set<std::string> used;
  const at::NoGradGuard no_gradients;
  model.projector()->visit_weights([&](const std::string& name, const at::Tensor& slot) {
    const auto found = files.projector.find(name);
    if (found == files.projector.end())
      throw CheckpointError(dir.string() + ": the projector lacks " + name);
    if (found->second.sizes() != slot.sizes()) {
      throw CheckpointError(dir.string() + ": " + name +
                            " has another shape than the model's projector");
    }
    slot.copy_(found->second);
    used.insert(name);
  });
  if (used.size() != files.projector.size()) {
    throw CheckpointError(dir.string() + ": holds more projector layers than the model has");
  }
}

// A part of a Linear with an adapter, by path.
struct AdaptedPart {
  std::string path;
  at::Tensor A, B;  // A is a view of the Linear's rows
  double scale;
};

std::vector<AdaptedPart> adapted_parts(Llava& model) {
  std::vector<AdaptedPart> out;
  for (auto* linear : adapted_linears(model)) {
    int64_t row = 0;
    for (const auto& part : linear->adapter()->parts) {
      out.push_back({linear->parts()[part.part].path,
                     linear->adapter()->A.detach().narrow(0, row, part.rank), part.B.detach(),
                     part.scale});
      row += part.rank;
    }
  }
  return out;
}

// A layer of the tower behind the one whose features are used. PEFT adapts it like the others; it
// does nothing there.
bool is_unused_vision_layer(Llava& model, const std::string& path) {
  const std::string layers = "vision_tower.encoder.layers.";
  if (!model.vision() || !starts_with(path, layers)) return false;
  const auto digits = path.find_first_not_of("0123456789", layers.size()) - layers.size();
  if (digits == 0 || digits > 4) return false;
  const int64_t index = std::stoll(path.substr(layers.size(), digits));
  return index >= model.vision()->num_built_layers() && index < model.config().vision.num_layers;
}

void fill_layers(Llava& model, const AdapterFiles& files, const fs::path& dir) {
  std::set<std::string> used;
  const bool has_vision = model.config().has_vision;
  for (auto& part : adapted_parts(model)) {
    const auto found = files.layers.find(part.path);
    if (found == files.layers.end()) {
      throw CheckpointError(dir.string() + ": has no adapter for " + part.path +
                            ", which lora.targets names");
    }
    const auto& [A, B] = found->second;
    if (A.sizes() != part.A.sizes() || B.sizes() != part.B.sizes()) {
      throw CheckpointError(dir.string() + ": " + part.path + ": rank " +
                            std::to_string(A.size(0)) + ", " + std::to_string(A.size(1)) + " in, " +
                            std::to_string(B.size(0)) + " out; the model and recipe ask for rank " +
                            std::to_string(part.A.size(0)) + ", " + std::to_string(part.A.size(1)) +
                            " in, " + std::to_string(part.B.size(0)) + " out");
    }
    const double scale = scale_of(files.info, part.path, A.size(0), has_vision);
    if (std::abs(scale - part.scale) > 1e-9 * std::abs(part.scale)) {
      throw CheckpointError(dir.string() + ": " + part.path + ": updates are scaled by " +
                            std::to_string(scale) + ", the recipe's alpha and rank give " +
                            std::to_string(part.scale));
    }
    part.A.copy_(A);
    part.B.copy_(B);
    used.insert(part.path);
  }
  for (const auto& [path, entry] : files.layers) {
    if (!used.count(path) && !is_unused_vision_layer(model, path)) {
      throw CheckpointError(dir.string() + ": holds an adapter for " + path +
                            ", which lora.targets does not name or the model does not have");
    }
  }
}

}  // namespace

void save_adapter(Llava& model, const AdapterInfo& info, const fs::path& dir) {
  fs::create_directories(dir);
  const bool has_vision = model.config().has_vision;
  std::map<std::string, std::string> metadata = info.finer;
  metadata["format"] = "pt";
  if (!info.keeps_base) {
    for (const auto& [part, sample] : base_samples(model)) metadata[kBaseSample + part] = sample;
  }

  const auto parts = adapted_parts(model);
  if (parts.empty()) {
    FINER_CHECK(info.saves_projector, "an adapter directory holds adapters or the projector");
    std::map<std::string, at::Tensor> tensors;
    model.projector()->visit_weights([&](const std::string& name, const at::Tensor& slot) {
      const bool is_single = model.config().projector.kind == "linear";
      tensors[original_projector_name(name, is_single)] = slot.detach().to(at::kFloat);
    });
    save_safetensors(dir / "mm_projector.safetensors", tensors, metadata);
    return;
  }

  std::map<std::string, at::Tensor> tensors;
  std::set<std::string> paths;
  Json rank_pattern = Json::object(), alpha_pattern = Json::object();
  const auto regex_literal = [](const std::string& path) {
    return std::regex_replace(path, std::regex("\\."), "\\.");
  };
  for (const auto& part : parts) {
    const auto path = peft_path(part.path, has_vision);
    tensors["base_model.model." + path + ".lora_A.weight"] = part.A;
    tensors["base_model.model." + path + ".lora_B.weight"] = part.B;
    paths.insert(part.path);
    const int64_t rank = part.A.size(0);
    const auto r = static_cast<double>(rank);
    const double alpha = part.scale * (info.config.rslora ? std::sqrt(r) : r);
    if (rank != info.config.rank) rank_pattern[regex_literal(path)] = rank;
    if (std::abs(alpha - info.config.alpha) > 1e-9 * info.config.alpha)
      alpha_pattern[regex_literal(path)] = alpha;
  }
  if (info.saves_projector) {
    model.projector()->visit_weights([&](const std::string& name, const at::Tensor& slot) {
      tensors["base_model.model." + peft_path(name, has_vision)] = slot.detach().to(at::kFloat);
    });
  }
  save_safetensors(dir / "adapter_model.safetensors", tensors, metadata);

  const Json alpha = info.config.alpha == std::floor(info.config.alpha)
                         ? Json(static_cast<int64_t>(info.config.alpha))
                         : Json(info.config.alpha);
  Json config = {
      {"peft_type", "LORA"},
      {"task_type", nullptr},
      {"base_model_name_or_path", info.base_model},
      {"inference_mode", true},
      {"r", info.config.rank},
      {"lora_alpha", alpha},
      {"lora_dropout", info.config.dropout},
      {"use_rslora", info.config.rslora},
      {"use_dora", false},
      {"bias", "none"},
      {"fan_in_fan_out", false},
      {"init_lora_weights", true},
      {"target_modules", target_regex(paths, has_vision)},
      {"modules_to_save", info.saves_projector ? Json{"multi_modal_projector"} : Json(nullptr)},
      {"rank_pattern", rank_pattern},
      {"alpha_pattern", alpha_pattern}};
  atomic_write(dir / "adapter_config.json", config.dump(2) + "\n");
}

AdapterInfo read_adapter_info(const fs::path& dir) {
  const auto file = dir / "adapter_config.json";
  const auto json = read_json(file);
  if (!json.is_object()) throw CheckpointError(file.string() + ": expected a JSON object");
  const auto kind = get<std::string>(json, "peft_type", "LORA", file);
  if (kind != "LORA")
    throw CheckpointError(file.string() + ": peft_type is " + kind + ", only LORA is implemented");
  if (get(json, "use_dora", false, file))
    throw CheckpointError(file.string() + ": use_dora is not implemented");
  if (get(json, "fan_in_fan_out", false, file)) {
    throw CheckpointError(file.string() +
                          ": fan_in_fan_out is not implemented (LLaMA has no such layers)");
  }
  if (get<std::string>(json, "bias", "none", file) != "none") {
    throw CheckpointError(file.string() + ": bias is " + json.at("bias").dump() +
                          ", only \"none\" is implemented");
  }
  for (const char* key : {"layer_replication", "trainable_token_indices", "target_parameters"}) {
    if (json.contains(key) && !json.at(key).is_null() && !json.at(key).empty()) {
      throw CheckpointError(file.string() + ": " + key + " is not implemented");
    }
  }
  AdapterInfo info;
  info.config.rank = get<int64_t>(json, "r", 8, file);
  info.config.alpha = get<double>(json, "lora_alpha", 8, file);
  info.config.dropout = get<double>(json, "lora_dropout", 0, file);
  info.config.rslora = get(json, "use_rslora", false, file);
  info.config.rank_pattern = get(json, "rank_pattern", std::map<std::string, int64_t>{}, file);
  info.config.alpha_pattern = get(json, "alpha_pattern", std::map<std::string, double>{}, file);
  info.base_model = get<std::string>(json, "base_model_name_or_path", "", file);
  if (json.contains("modules_to_save") && json.at("modules_to_save").is_array()) {
    for (const auto& name : json.at("modules_to_save")) {
      if (name == "multi_modal_projector" || name == "mm_projector") {
        info.saves_projector = true;
      } else {
        throw CheckpointError(file.string() + ": modules_to_save names " + name.dump() +
                              ", only multi_modal_projector is implemented");
      }
    }
  }
  return info;
}

std::map<std::string, std::string> adapter_metadata(const fs::path& dir) {
  const auto weights = dir / (fs::exists(dir / "adapter_config.json") ? "adapter_model.safetensors"
                                                                      : "mm_projector.safetensors");
  return fs::exists(weights) ? open_tensor_file(weights)->metadata()
                             : std::map<std::string, std::string>();
}

AdapterContents adapter_contents(const fs::path& dir) {
  const auto files = read_adapter_files(dir);
  return {!files.layers.empty(), !files.projector.empty()};
}

std::string other_base(const Llava& model, const fs::path& dir) {
  const auto metadata = adapter_metadata(dir);
  for (const auto& [part, sample] : base_samples(model)) {
    const auto recorded = metadata.find(kBaseSample + part);
    if (recorded == metadata.end() || is_same_base(recorded->second, sample)) continue;
    const auto base =
        fs::exists(dir / "adapter_config.json") ? read_adapter_info(dir).base_model : "";
    return dir.string() + ": was trained on another base" + (base.empty() ? "" : ", " + base) +
           "; the " + part + " weights of this one are not those";
  }
  return "";
}

void load_adapter(Llava& model, const fs::path& dir) {
  const auto files = read_adapter_files(dir);
  const auto other = other_base(model, dir);
  if (!other.empty()) log::warn(other);
  auto linears = model.language().linears();
  if (auto* vision = model.vision()) {
    for (auto* linear : vision->linears()) linears.push_back(linear);
  }
  const bool has_vision = model.config().has_vision;
  const auto options = model.options().dtype(at::kFloat);
  for (auto* linear : linears) {
    auto adapter = std::make_shared<Adapter>();
    int64_t rows = 0;
    for (size_t p = 0; p < linear->parts().size(); ++p) {
      const auto& part = linear->parts()[p];
      const auto found = files.layers.find(part.path);
      if (found == files.layers.end()) continue;
      const int64_t rank = found->second.A.size(0);
      adapter->parts.push_back({.part = p,
                                .rank = rank,
                                .scale = scale_of(files.info, part.path, rank, has_vision),
                                .B = at::zeros({part.out, rank}, options)});
      rows += rank;
    }
    if (adapter->parts.empty()) continue;
    adapter->A = at::empty({rows, linear->in_features()}, options);
    linear->adapter() = std::move(adapter);
  }
  fill_layers(model, files, dir);
  fill_projector(model, files, dir);
}

void fill_adapter(Llava& model, const fs::path& dir) {
  const auto files = read_adapter_files(dir);
  fill_layers(model, files, dir);
  fill_projector(model, files, dir);
}

}  // namespace finer::lora
