#include "finer/export/export.h"

#include "finer/core/error.h"
#include "finer/export/drawn_prompts.h"
#include "finer/export/llava_layout.h"
#include "finer/io/tensor_file.h"
#include "finer/model/save.h"
#include "lora/peft_io.h"
#include "tests/core/temporary_folder.h"
#include "tests/model/tiny_llava.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

namespace finer {

namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;

ExportRequest request_of(const std::string& format, const fs::path& out) {
  ExportRequest request;
  request.from.model.llava = golden_path("model/llava");
  request.from.model.tokenizer = golden_path("text/tiny.model");
  request.from.adapter = golden_path("lora/full");
  request.from.device = "cpu";
  request.format = format;
  request.out = out;
  request.num_prompts = 2;
  return request;
}

// Logits of the golden picture prompt, by a model that is opened as a user would open it.
at::Tensor picture_logits(const SessionConfig& config) {
  const auto base = base_model(config);
  const auto model = load_llava(base.model, at::kCPU, base.seed);
  add_adapter(*model, config.adapter);
  const auto g = golden("model/logits.safetensors");
  return logits_of(*model, packed_input({g.at("picture.ids")}, g.at("picture.pixels")));
}

std::string refusal(const ExportRequest& request) {
  try {
    export_model(request);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::vector<std::string> entries(const fs::path& folder) {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(folder))
    out.push_back(entry.path().filename().string());
  std::sort(out.begin(), out.end());
  return out;
}

nlohmann::json json_of(const fs::path& file) {
  std::ifstream stream(file);
  return nlohmann::json::parse(stream);
}

}  // namespace

TEST_CASE("what is exported answers as base and adapter do", "[export]") {
  const TemporaryFolder folder;
  const auto expected = golden("lora/full.safetensors").at("picture.logits");
  SECTION("merged, as llava-hf") {
    export_model(request_of("merged-hf", folder / "out"));
    SessionConfig config;
    config.model.llava = (folder / "out").string();
    // the tokenizer has no mark of pictures: it gets an id, and its row, behind the others
    CHECK(difference(picture_logits(config).narrow(1, 0, 64), expected) < 5e-6);
    CHECK(json_of(folder / "out" / "config.json").at("image_token_index") == 64);
    CHECK(json_of(folder / "out" / "added_tokens.json").at("<image>") == 64);
    CHECK(Tokenizer::load(folder / "out").encode("<image>") == std::vector<int64_t>{64});
  }
  SECTION("merged, as original LLaVA") {
    export_model(request_of("llava", folder / "out"));
    SessionConfig config;
    config.model.llava = (folder / "out").string();
    config.model.vision = (folder / "out" / "vision_tower").string();
    CHECK(difference(picture_logits(config), expected) < 5e-6);
    const auto json = json_of(folder / "out" / "config.json");
    CHECK(json.at("mm_vision_tower") == config.model.vision);
    CHECK(json.at("mm_vision_select_layer") == tiny_llava()->num_vision_layers());
    CHECK(json.at("image_aspect_ratio") == "pad");
    const auto file = open_tensor_file(folder / "out" / "model.safetensors");
    CHECK(file->tensors().count("model.mm_projector.2.bias") == 1);
    CHECK(file->tensors().count("lm_head.weight") == 1);
  }
  SECTION("as an adapter of PEFT") {
    export_model(request_of("peft", folder / "out"));
    SessionConfig config;
    config.model.llava = golden_path("model/llava");
    config.adapter = folder / "out";
    CHECK(difference(picture_logits(config), expected) < 5e-6);
    CHECK(json_of(folder / "out" / "adapter_config.json").at("base_model_name_or_path") ==
          config.model.llava);
  }
  CHECK(entries(folder.path()) == std::vector<std::string>{"out"});
}

TEST_CASE("a tower that LLaVA has is named, not written", "[export]") {
  const TemporaryFolder folder;
  auto request = request_of("llava", folder / "out/");
  request.vision_tower = "openai/clip-vit-large-patch14-336";
  request.from.image_aspect = "crop";
  export_model(request);
  const auto json = json_of(folder / "out" / "config.json");
  CHECK(json.at("mm_vision_tower") == request.vision_tower);
  CHECK(json.at("image_aspect_ratio").is_null());
  CHECK(json.at("mm_vision_select_layer") == tiny_llava()->num_vision_layers());
  CHECK_FALSE(fs::exists(folder / "out" / "vision_tower"));
  request.from.adapter = golden_path("lora/vision");  // would be lost
  request.out = folder / "vision";
  CHECK_THAT(refusal(request), Contains("the adapter changes the vision tower"));
}

TEST_CASE("an export is in the dtype of the base, or in the one asked for", "[export]") {
  const TemporaryFolder folder;
  auto request = request_of("merged-hf", folder / "half");
  request.from.dtype = "bfloat16";
  export_model(request);
  CHECK(stored_dtype(base_model({.model = {.llava = (folder / "half").string()}}).model) ==
        "bfloat16");
  auto again = request_of("merged-hf", folder / "again");
  again.from.model.llava = (folder / "half").string();
  again.from.adapter.clear();
  export_model(again);
  const auto name = "language_model.model.layers.0.mlp.up_proj.weight";
  const auto file = open_tensor_file(folder / "again" / "model.safetensors");
  CHECK(file->tensors().at(name).dtype == at::kBFloat16);
  CHECK(at::equal(file->read(name),
                  open_tensor_file(folder / "half" / "model.safetensors")->read(name)));
}

TEST_CASE("a model of text alone is written as a LLaMA directory", "[export]") {
  const TemporaryFolder folder;
  ExportRequest request;
  request.from.model.use_from_scratch = true;
  request.from.model.from_scratch.has_vision = false;
  request.from.model.from_scratch.language = {.vocab_size = 64,
                                              .width = 16,
                                              .mlp_width = 24,
                                              .num_layers = 1,
                                              .num_heads = 2,
                                              .num_kv_heads = 1,
                                              .head_size = 8,
                                              .max_positions = 64};
  request.from.model.tokenizer = golden_path("text/tiny.model");
  request.from.device = "cpu";
  request.format = "merged-hf";
  request.out = folder / "out";
  export_model(request);
  CHECK(json_of(folder / "out" / "config.json").at("model_type") == "llama");
  CHECK(fs::exists(folder / "out" / "tokenizer.model"));
  request.format = "llava";
  request.out = folder / "other";
  CHECK_THAT(refusal(request), Contains("the model has no vision tower"));
}

TEST_CASE("drawn prompts are the same ones each time, and tell models apart", "[export]") {
  const auto model = tiny_llava();
  const DrawnPrompts prompts(*model, 3, 5);
  const auto logits = prompts.logits(*model);
  CHECK(logits.sizes() == at::IntArrayRef({96, model->config().language.vocab_size}));
  CHECK(at::equal(DrawnPrompts(*model, 3, 5).logits(*model), logits));
  CHECK_FALSE(at::equal(DrawnPrompts(*model, 3, 6).logits(*model), logits));
  model->vision()->linears()[0]->weight().mul_(2);
  CHECK_FALSE(at::equal(prompts.logits(*model), logits));
}

TEST_CASE("requests that cannot be met are refused before anything is written", "[export]") {
  const TemporaryFolder folder;
  auto request = request_of("merged-hf", folder / "out");
  SECTION("a format that is not there") {
    request.format = "merged";
    CHECK_THAT(refusal(request), Contains("--format: \"merged\" is not known"));
  }
  SECTION("a folder that is there") {
    fs::create_directory(folder / "out");
    CHECK_THAT(refusal(request), EndsWith("is there already; expected a new folder"));
    fs::remove(folder / "out");
  }
  SECTION("a link to nowhere") {
    fs::create_directory_symlink(folder / "gone", folder / "link");
    request.out = folder / "link";
    CHECK_THAT(refusal(request), EndsWith("is there already; expected a new folder"));
  }
  SECTION("a place in a file") {
    std::ofstream(folder / "file") << "x";
    request.out = folder / "file" / "out";
    CHECK_THAT(refusal(request), Contains("file/out: "));
  }
  SECTION("PEFT's layout of nothing") {
    request.format = "peft";
    request.from.adapter.clear();
    CHECK_THAT(refusal(request), Contains("give --adapter"));
  }
  SECTION("a tower for a format that names none") {
    request.vision_tower = "openai/clip-vit-large-patch14-336";
    CHECK_THAT(refusal(request), Contains("it needs --format llava"));
  }
  SECTION("an adapter that is not there") {
    request.from.adapter = folder / "nowhere";
    CHECK_THAT(refusal(request), Contains("nowhere: is not there"));
  }
  SECTION("a dtype that is not known") {
    request.from.dtype = "int4";
    CHECK_THAT(refusal(request), Contains("dtype \"int4\" is unknown"));
  }
  SECTION("a tokenizer that is not there") {
    request.from.model.tokenizer = folder / "nowhere";
    CHECK_THAT(refusal(request), Contains("nowhere"));
  }
  SECTION("a tower beside one's own") {
    request.from.model.vision = folder / "clip";
    CHECK_THAT(refusal(request), Contains("the base has a vision tower of its own"));
  }
  SECTION("a projector alone, for PEFT") {
    request.format = "peft";
    request.from.adapter = folder / "projector";
    const auto model = tiny_llava();
    lora::save_adapter(*model, {.saves_projector = true}, request.from.adapter);
    CHECK_THAT(refusal(request), Contains("holds a projector alone"));
  }
  SECTION("an adapter with a hole") {
    const auto model = tiny_llava();
    lora::load_adapter(*model, golden_path("lora/full"));
    model->language().linears()[0]->adapter()->A.fill_(std::numeric_limits<float>::quiet_NaN());
    auto info = lora::read_adapter_info(golden_path("lora/full"));
    lora::save_adapter(*model, info, folder / "broken");
    request.from.adapter = folder / "broken";
    CHECK_THAT(refusal(request), Contains("merged weights are not all finite"));
  }
  CHECK_FALSE(fs::exists(folder / "out"));
  for (const auto& name : entries(folder.path())) CHECK(name.find("partial") == std::string::npos);
}

TEST_CASE("PEFT's layout keeps the adapter's values and what it says of its base", "[export]") {
  const TemporaryFolder folder;
  const auto model = tiny_llava();
  lora::load_adapter(*model, golden_path("lora/full"));
  auto info = lora::read_adapter_info(golden_path("lora/full"));
  info.saves_projector = true;
  lora::save_adapter(*model, info, folder / "ours");
  auto base = tiny_model();
  base.dtype = "bfloat16";
  auto changed = load_llava(base, at::kCPU, 0);
  changed->language().linears()[3]->weight().mul_(1.5);
  save_model(*changed, base, folder / "half");
  auto request = request_of("peft", folder / "out");
  request.from.model.llava = (folder / "half").string();
  request.from.adapter = folder / "ours";
  export_model(request);
  const auto before = open_tensor_file(folder / "ours" / "adapter_model.safetensors");
  const auto after = open_tensor_file(folder / "out" / "adapter_model.safetensors");
  for (const auto& [name, tensor] : before->tensors()) {
    INFO(name);
    CHECK(at::equal(before->read(name), after->read(name)));
  }
  for (const char* key : {"finer_base_language", "finer_base_vision"})
    CHECK(after->metadata().at(key) == before->metadata().at(key));
  CHECK_FALSE(lora::other_base(*changed, folder / "out").empty());
  CHECK(lora::read_adapter_info(folder / "out").base_model == info.base_model);
}

TEST_CASE("what LLaVA makes of a folder's name", "[export]") {
  CHECK(misleading_name("my-LLaVA-7b").empty());
  CHECK_THAT(misleading_name("finer-7b"), Contains("only where \"llava\" is in"));
  CHECK_THAT(misleading_name("llava-prompted"), Contains("\"mpt\""));
}

}  // namespace finer
