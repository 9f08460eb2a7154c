#include "finer/model/save.h"

#include "finer/core/atomic_file.h"
#include "finer/core/rng.h"
#include "finer/io/tensor_file.h"
#include "finer/model/hf_config.h"
#include "finer/model/hf_json.h"
#include "finer/model/load.h"

#include <algorithm>
#include <fstream>
#include <map>

namespace finer {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

std::string published_name(const std::string& canonical, bool has_vision) {
  const std::string language = "language_model.", vision = "vision_tower.",
                    head = "language_model.lm_head.";
  if (canonical.rfind(head, 0) == 0)
    return has_vision ? canonical : canonical.substr(language.size());
  if (canonical.rfind(language, 0) == 0) {
    return (has_vision ? language : std::string()) + "model." + canonical.substr(language.size());
  }
  if (canonical.rfind(vision, 0) == 0)
    return "vision_tower.vision_model." + canonical.substr(vision.size());
  return canonical;
}

// transformers looks the picture's mark up in the embedding before it overwrites it, so the mark
// needs a row: where the base has none, the next free id, and rows of zeros up to a multiple of 64,
// as llava-hf has them.
LlavaConfig with_image_token(LlavaConfig config, bool is_known) {
  auto& vocab = config.language.vocab_size;
  if (!config.has_vision || (is_known && config.image_token_id < vocab)) return config;
  config.image_token_id = vocab;
  vocab = (vocab / 64 + 1) * 64;
  return config;
}

void copy_if_there(const fs::path& from, const fs::path& to) {
  if (!fs::is_regular_file(from)) return;
  std::ifstream stream(from, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(stream)),
                          std::istreambuf_iterator<char>());
  atomic_write(to, bytes);
}

// Where the mark of pictures is new: transformers reads it from `added_tokens_decoder` where the
// settings have one, else from `added_tokens.json`.
void add_image_token(const fs::path& dir, int64_t id) {
  if (!fs::exists(dir / "added_tokens.json"))
    write_json(dir / "added_tokens.json", Json{{"<image>", id}});
  const auto settings = dir / "tokenizer_config.json";
  if (!fs::exists(settings)) return;
  std::ifstream stream(settings);
  auto json = Json::parse(stream, nullptr, false);
  if (!json.is_object() || !json.contains("added_tokens_decoder")) return;
  json["added_tokens_decoder"][std::to_string(id)] = {{"content", "<image>"}, {"lstrip", false},
                                                      {"normalized", false},  {"rstrip", false},
                                                      {"single_word", false}, {"special", true}};
  write_json(settings, json);
}

}  // namespace

void save_model(const Llava& model, const ModelConfig& source, const fs::path& dir,
                bool knows_image_token) {
  fs::create_directories(dir);
  const auto config = with_image_token(model.config(), knows_image_token);
  const auto dtype = dtype_from_name(source.dtype);
  std::map<std::string, at::Tensor> tensors;
  model.visit_weights([&](const std::string& name, const at::Tensor& slot) {
    auto value = slot.detach().to(dtype);
    const bool is_row_a_token =
        name == "language_model.embed_tokens.weight" || name == "language_model.lm_head.weight";
    if (is_row_a_token && value.size(0) < config.language.vocab_size) {
      value = at::cat({value, at::zeros({config.language.vocab_size - value.size(0), value.size(1)},
                                        value.options())});
    }
    tensors[published_name(name, config.has_vision)] = value;
  });
  if (config.has_vision)
    add_unused_norm(tensors, "vision_tower.vision_model.", config.vision.width, dtype);
  save_safetensors(dir / "model.safetensors", tensors, {{"format", "pt"}});
  const auto json = config.has_vision ? llava_json(config, model.num_vision_layers(), source.dtype)
                                      : language_json(config.language, source.dtype);
  write_json(dir / "config.json", json);

  copy_tokenizer(source, dir);
  if (!config.has_vision) return;
  if (config.language.vocab_size != model.config().language.vocab_size)
    add_image_token(dir, config.image_token_id);
  const auto pictures = preprocessor_dir(source);
  if (!pictures.empty()) {
    for (const char* name : {"preprocessor_config.json", "processor_config.json"})
      copy_if_there(pictures / name, dir / name);
  }
  if (!fs::exists(dir / "preprocessor_config.json") && !fs::exists(dir / "processor_config.json"))
    write_picture_settings(source, config.vision, dir);
  if (!fs::exists(dir / "processor_config.json"))
    write_json(dir / "processor_config.json", processor_json(config));
}

void copy_tokenizer(const ModelConfig& source, const fs::path& dir) {
  const auto tokenizer = tokenizer_path(source);
  if (!fs::is_directory(tokenizer)) return copy_if_there(tokenizer, dir / "tokenizer.model");
  for (const char* name : {"tokenizer.model", "tokenizer_config.json", "added_tokens.json",
                           "special_tokens_map.json"}) {
    copy_if_there(tokenizer / name, dir / name);
  }
}

void write_picture_settings(const ModelConfig& source, const VisionConfig& config,
                            const fs::path& dir) {
  write_json(dir / "preprocessor_config.json",
             picture_json(PreprocessConfig::load(preprocessor_dir(source), config.image_side_px)));
}

void add_unused_norm(std::map<std::string, at::Tensor>& tensors, const std::string& prefix,
                     int64_t width, at::ScalarType dtype) {
  tensors[prefix + "post_layernorm.weight"] = at::ones({width}, dtype);
  tensors[prefix + "post_layernorm.bias"] = at::zeros({width}, dtype);
}

uint64_t base_hash(const ModelConfig& source, uint64_t seed) {
  uint64_t hash = hash_bytes("finer base");
  const auto add = [&](const std::string& text) { hash = hash_bytes(text, hash); };
  constexpr std::streamoff kPiece = 1 << 20;
  for (const auto& path : base_files(source)) {
    const auto size = static_cast<std::streamoff>(fs::file_size(path));
    add(path.filename().string() + ":" + std::to_string(size));
    std::ifstream stream(path, std::ios::binary);
    std::string piece(static_cast<size_t>(std::min(size, kPiece)), '\0');
    stream.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    add(piece);
    stream.seekg(std::max<std::streamoff>(0, size - kPiece));
    stream.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    add(piece);
  }
  std::vector<fs::path> settings = {source.tokenizer};
  for (const auto& dir : {source.llava, source.language, source.vision, source.tokenizer}) {
    if (dir.empty() || !fs::is_directory(dir)) continue;
    for (const char* name :
         {"config.json", "tokenizer.model", "tokenizer_config.json", "added_tokens.json",
          "preprocessor_config.json", "processor_config.json"}) {
      settings.push_back(fs::path(dir) / name);
    }
  }
  for (const auto& path : settings) {
    if (!fs::is_regular_file(path)) continue;
    std::ifstream stream(path, std::ios::binary);
    add(path.filename().string());
    add(std::string((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>()));
  }
  if (source.use_from_scratch) {
    add(llava_json(source.from_scratch, source.from_scratch.vision.num_layers, source.dtype)
            .dump() +
        std::to_string(seed));
  }
  return hash;
}

}  // namespace finer
