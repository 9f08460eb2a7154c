#include "lora/peft_io.h"

#include "finer/core/error.h"
#include "lora/attach.h"
#include "tests/core/temporary_folder.h"
#include "tests/model/tiny_llava.h"

#include <catch2/catch.hpp>
#include <torch/csrc/autograd/autograd.h>

#include <filesystem>
#include <fstream>
#include <functional>

namespace finer::lora {

namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;

const std::vector<std::string> kAllLayers = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                             "gate_proj", "up_proj", "down_proj"};

// The settings tests/golden/lora/NAME was made with, as a recipe says them.
LoraConfig recipe_of(const std::string& name) {
  LoraConfig config;
  config.dropout = 0;
  if (name == "full") {
    config.rank = 3;
    config.alpha = 6;
    config.targets = kAllLayers;
  } else if (name == "patterns") {
    config.rank = 4;
    config.alpha = 5;
    config.rslora = true;
    config.targets = {"q_proj", "v_proj", "down_proj"};
    config.rank_pattern = {{"language_model.layers.1.**.v_proj", 2}, {"down_proj", 1}};
    config.alpha_pattern = {{"language_model.layers.0.**.q_proj", 9}};
  } else {
    config.rank = 2;
    config.alpha = 4;
    config.targets = {"language_model.**.q_proj", "vision_tower.**.v_proj", "vision_tower.**.fc1"};
  }
  return config;
}

std::unique_ptr<Llava> attached(const std::string& name) {
  auto model = tiny_llava();
  attach(*model, recipe_of(name), {.language = true, .vision = name == "vision"}, 0);
  return model;
}

AdapterInfo info_of(const std::string& name) {
  AdapterInfo info;
  info.config = recipe_of(name);
  info.base_model = "tiny";
  info.saves_projector = name == "full";
  return info;
}

// Our path of a layer as PEFT names it in its files.
std::string peft_name(const std::string& path) {
  const std::string vision = "vision_tower.";
  if (path.rfind(vision, 0) != 0) return "base_model.model.model." + path;
  return "base_model.model.model.vision_tower.vision_model." + path.substr(vision.size());
}

at::Tensor picture_logits(Llava& model) {
  const auto g = golden("model/logits.safetensors");
  return logits_of(model, packed_input({g.at("picture.ids")}, g.at("picture.pixels")));
}

std::string refusal(const std::function<void()>& body) {
  try {
    body();
  } catch (const CheckpointError& error) {
    return error.what();
  }
  return "(nothing)";
}

// A copy of a golden adapter whose files can be changed.
class AdapterCopy {
 public:
  explicit AdapterCopy(const std::string& name)
      : tensors(golden("lora/" + name + "/adapter_model.safetensors")) {
    std::ifstream stream(golden_path("lora/" + name + "/adapter_config.json"));
    config.assign(std::istreambuf_iterator<char>(stream), {});
  }
  fs::path save() const {
    save_safetensors(folder_ / "adapter_model.safetensors", tensors);
    std::ofstream(folder_ / "adapter_config.json") << config;
    return folder_.path();
  }
  void replace(const std::string& text, const std::string& by) {
    REQUIRE(config.find(text) != std::string::npos);
    config.replace(config.find(text), text.size(), by);
  }

  Tensors tensors;
  std::string config;

 private:
  TemporaryFolder folder_;
};

}  // namespace

// Tolerance as for the base's logits.
TEST_CASE("adapters that PEFT wrote give PEFT's logits", "[lora]") {
  const auto g = golden("model/logits.safetensors");
  for (const std::string name : {"full", "patterns", "vision"}) {
    INFO(name);
    const auto expected = golden("lora/" + name + ".safetensors");
    const auto model = tiny_llava();
    load_adapter(*model, golden_path("lora/" + name));
    CHECK(difference(picture_logits(*model), expected.at("picture.logits")) < 5e-6);
    CHECK(difference(logits_of(*model, packed_input({g.at("text.ids")})),
                     expected.at("text.logits")) < 5e-6);
    CHECK(difference(g.at("picture.logits"), expected.at("picture.logits")) > 1e-2);
  }
}

TEST_CASE("gradients of adapters and projector are PEFT's", "[lora]") {
  const auto g = golden("model/logits.safetensors");
  for (const std::string name : {"full", "patterns", "vision"}) {
    INFO(name);
    const auto expected = golden("lora/" + name + ".safetensors");
    const auto model = attached(name);
    fill_adapter(*model, golden_path("lora/" + name));
    model->trains_vision = name == "vision";
    if (name == "full") {
      for (auto* linear : model->projector()->linears()) {
        linear->weight().requires_grad_(true);
        linear->bias().requires_grad_(true);
      }
    }
    const auto rows = at::arange(7, 11);  // whose next tokens are ids 8 to 11
    const auto hidden =
        model->forward(packed_input({g.at("picture.ids")}, g.at("picture.pixels")), rows);
    const auto log_p = at::log_softmax(at::mm(hidden, model->language().head().t()), 1);
    const auto targets = g.at("picture.ids").narrow(0, 8, 4).unsqueeze(1);
    torch::autograd::backward({log_p.gather(1, targets).sum().neg()}, {});

    size_t count = 0;
    const auto check = [&](const std::string& peft, const at::Tensor& gradient) {
      INFO(peft);
      REQUIRE(expected.count("d_" + peft) == 1);
      CHECK(difference(gradient, expected.at("d_" + peft)) <
            2e-5);  // back through four layers in float32
      ++count;
    };
    for (const auto* linear : adapted_linears(*model)) {
      int64_t row = 0;
      for (const auto& part : linear->adapter()->parts) {
        const auto peft = peft_name(linear->parts()[part.part].path);
        check(peft + ".lora_A.weight", linear->adapter()->A.grad().narrow(0, row, part.rank));
        check(peft + ".lora_B.weight", part.B.grad());
        row += part.rank;
      }
    }
    if (name == "full") {
      const auto layers = model->projector()->linears();
      for (size_t i = 0; i < layers.size(); ++i) {
        const auto peft =
            "base_model.model.model.multi_modal_projector.linear_" + std::to_string(i + 1);
        check(peft + ".weight", layers[i]->weight().grad());
        check(peft + ".bias", layers[i]->bias().grad());
      }
    }
    CHECK(count + 2 == expected.size());  // and two of logits
  }
}

TEST_CASE("a saved adapter has the names and numbers of PEFT's own file", "[lora]") {
  for (const std::string name : {"full", "patterns", "vision"}) {
    INFO(name);
    const TemporaryFolder folder;
    const auto model = attached(name);
    fill_adapter(*model, golden_path("lora/" + name));
    save_adapter(*model, info_of(name), folder.path());
    auto expected = golden("lora/" + name + "/adapter_model.safetensors");
    // the tower's last layer, which is not built
    for (auto it = expected.begin(); it != expected.end();) {
      it = it->first.find("vision_model.encoder.layers.2.") != std::string::npos
               ? expected.erase(it)
               : std::next(it);
    }
    const auto found = read_tensors((folder / "adapter_model.safetensors").string());
    REQUIRE(found.size() == expected.size());
    for (const auto& [key, value] : expected) {
      INFO(key);
      REQUIRE(found.count(key) == 1);
      CHECK(at::equal(found.at(key), value));
    }
  }
}

TEST_CASE("saved, an adapter loads and fills to the same bits", "[lora]") {
  for (const std::string name : {"full", "patterns", "vision"}) {
    INFO(name);
    const TemporaryFolder folder;
    const auto model = attached(name);
    fill_adapter(*model, golden_path("lora/" + name));
    save_adapter(*model, info_of(name), folder.path());
    const auto expected = picture_logits(*model);

    const auto loaded = tiny_llava();
    load_adapter(*loaded, folder.path());
    CHECK(at::equal(picture_logits(*loaded), expected));
    const auto filled = attached(name);
    fill_adapter(*filled, folder.path());
    CHECK(at::equal(picture_logits(*filled), expected));

    const auto info = read_adapter_info(folder.path());
    CHECK(info.config.rank == info_of(name).config.rank);
    CHECK(info.config.alpha == info_of(name).config.alpha);
    CHECK(info.config.rslora == info_of(name).config.rslora);
    CHECK(info.saves_projector == info_of(name).saves_projector);
    CHECK(info.base_model == "tiny");
  }
}

TEST_CASE("a projector that trains alone is saved in LLaVA's names and read back", "[lora]") {
  ModelConfig config;
  config.use_from_scratch = true;
  config.from_scratch.language = {.vocab_size = 10,
                                  .width = 8,
                                  .mlp_width = 8,
                                  .num_layers = 1,
                                  .num_heads = 2,
                                  .num_kv_heads = 2,
                                  .head_size = 4};
  config.from_scratch.vision = {.width = 4,
                                .mlp_width = 8,
                                .num_layers = 2,
                                .num_heads = 2,
                                .image_side_px = 4,
                                .patch_side_px = 4};
  const auto check = [&](const std::string& kind, const std::vector<std::string>& names) {
    INFO(kind);
    config.from_scratch.projector.kind = kind;
    const auto model = load_llava(config, at::kCPU, 1), other = load_llava(config, at::kCPU, 2);
    const TemporaryFolder folder;
    AdapterInfo info;
    info.saves_projector = true;
    save_adapter(*model, info, folder.path());
    const auto file = read_tensors((folder / "mm_projector.safetensors").string());
    for (const auto& name : names) {
      INFO(name);
      CHECK(file.count("model.mm_projector." + name) == 1);
    }
    load_adapter(*other, folder.path());
    const auto features = drawn({3, 4}, 1);
    CHECK(at::equal(model->projector()->forward(features), other->projector()->forward(features)));
  };
  check("linear", {"weight", "bias"});
  check("mlp2x_gelu", {"0.weight", "0.bias", "2.weight", "2.bias"});
  check("mlp11x_gelu", {"0.weight", "2.weight", "18.weight", "20.weight", "20.bias"});
}

TEST_CASE("original LLaVA's LoRA directories are read", "[lora]") {
  // names without language_model, the projector in a file of its own
  AdapterCopy copy("full");
  Tensors layers, projector;
  for (const auto& [name, tensor] : copy.tensors) {
    const std::string old = "base_model.model.model.language_model.",
                      linear = "multi_modal_projector.linear_";
    const auto at = name.find(linear);
    if (at == std::string::npos) {
      layers["base_model.model.model." + name.substr(old.size())] = tensor;
    } else {
      const auto rest = name.substr(at + linear.size());
      projector["base_model.model.model.mm_projector." + std::string(rest[0] == '1' ? "0" : "2") +
                rest.substr(1)] = tensor;
    }
  }
  copy.tensors = layers;
  copy.replace("\"multi_modal_projector\"", "");
  const auto dir = copy.save();
  save_safetensors(dir / "non_lora_trainables.bin", projector);
  const auto model = tiny_llava();
  load_adapter(*model, dir);
  CHECK(difference(picture_logits(*model), golden("lora/full.safetensors").at("picture.logits")) <
        5e-6);
}

TEST_CASE("names that a live PEFT model has are read: the adapter's own, and modules_to_save",
          "[lora]") {
  AdapterCopy copy("full");
  Tensors live;
  for (const auto& [name, tensor] : copy.tensors) {
    auto other = name;
    const std::string suffix = ".weight", projector = "multi_modal_projector.";
    const auto at = other.find(projector);
    if (at != std::string::npos) {
      other.insert(at + projector.size(), "modules_to_save.default.");
    } else {
      other.insert(other.size() - suffix.size(), ".default");
    }
    live[other] = tensor;
  }
  copy.tensors = live;
  const auto model = attached("full");
  fill_adapter(*model, copy.save());
  CHECK(difference(picture_logits(*model), golden("lora/full.safetensors").at("picture.logits")) <
        5e-6);

  copy.tensors.clear();
  for (const auto& [name, tensor] : live) {
    auto other = name;
    const auto at = other.find("modules_to_save.default.");
    if (at != std::string::npos)
      other.erase(at + 16, 8);  // "modules_to_save.", as some versions write
    copy.tensors[other] = tensor;
  }
  const auto again = attached("full");
  fill_adapter(*again, copy.save());
  CHECK(at::equal(picture_logits(*again), picture_logits(*model)));
}

TEST_CASE("filling refuses another rank, scale, or set of layers, naming the layer", "[lora]") {
  const auto fill = [&](LoraConfig config) {
    return refusal([&] {
      const auto model = tiny_llava();
      attach(*model, config, {}, 0);
      fill_adapter(*model, golden_path("lora/full"));
    });
  };
  const std::string dir = golden_path("lora/full"),
                    first = "language_model.layers.0.self_attn.q_proj";
  CHECK(fill(recipe_of("full")) == "(nothing)");
  auto config = recipe_of("full");
  config.rank = 5;
  CHECK(fill(config) ==
        dir + ": " + first +
            ": rank 3, 24 in, 24 out; the model and recipe ask for rank 5, 24 in, 24 out");
  config = recipe_of("full");
  config.alpha = 12;
  CHECK(fill(config) ==
        dir + ": " + first +
            ": updates are scaled by 2.000000, the recipe's alpha and rank give 4.000000");
  config = recipe_of("full");
  config.rslora = true;
  CHECK_THAT(fill(config), Contains("updates are scaled by 2.000000"));
  config = recipe_of("full");
  config.targets = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj"};
  CHECK(fill(config) ==
        dir +
            ": holds an adapter for language_model.layers.0.mlp.down_proj, which lora.targets does "
            "not name or the model does not have");

  const auto model = tiny_llava();
  attach(*model, recipe_of("full"), {}, 0);
  CHECK_THAT(refusal([&] { fill_adapter(*model, golden_path("lora/patterns")); }),
             Contains("language_model.layers.0.self_attn.q_proj: rank 4") ||
                 Contains("has no adapter for language_model.layers.0.self_attn.k_proj, which "
                          "lora.targets names"));
}

TEST_CASE("a layer that a directory lacks is named", "[lora]") {
  AdapterCopy copy("full");
  const std::string layer = "base_model.model.model.language_model.layers.1.mlp.up_proj.lora_";
  copy.tensors.erase(layer + "A.weight");
  copy.tensors.erase(layer + "B.weight");
  const auto model = attached("full");
  CHECK_THAT(
      refusal([&] { fill_adapter(*model, copy.save()); }),
      EndsWith(
          ": has no adapter for language_model.layers.1.mlp.up_proj, which lora.targets names"));
}

TEST_CASE("tensors that make no adapter are refused by name", "[lora]") {
  AdapterCopy copy("full");
  const std::string layer = "base_model.model.model.language_model.layers.1.mlp.up_proj.lora_";
  const auto load = [&] {
    return refusal([&] {
      const auto model = tiny_llava();
      load_adapter(*model, copy.save());
    });
  };
  SECTION("half of a pair") {
    copy.tensors.erase(layer + "B.weight");
    CHECK_THAT(load(),
               Contains("language_model.layers.1.mlp.up_proj has only one of lora_A and lora_B"));
  }
  SECTION("ranks that differ") {
    copy.tensors[layer + "B.weight"] = at::zeros({32, 2});
    CHECK_THAT(load(),
               Contains("language_model.layers.1.mlp.up_proj: lora_A has rank 3, lora_B 2"));
  }
  SECTION("another width") {
    copy.tensors[layer + "B.weight"] = at::zeros({24, 3});
    CHECK_THAT(load(),
               Contains("language_model.layers.1.mlp.up_proj: rank 3, 24 in, 24 out; the model"));
  }
  SECTION("not a matrix") {
    copy.tensors[layer + "A.weight"] = at::zeros({3});
    CHECK_THAT(load(), Contains("tensor \"" + layer + "A.weight\" is not a matrix"));
  }
  SECTION("whole numbers") {
    copy.tensors[layer + "A.weight"] = at::zeros({3, 24}, at::kLong);
    CHECK_THAT(load(), Contains("does not hold floating-point numbers"));
  }
  SECTION("a base weight") {
    copy.tensors["base_model.model.lm_head.weight"] = at::zeros({64, 24});
    CHECK_THAT(
        load(),
        Contains("\"base_model.model.lm_head.weight\" is neither an adapter nor the projector"));
  }
  SECTION("a layer that the model does not have") {
    copy.tensors["base_model.model.model.language_model.layers.2.mlp.up_proj.lora_A.weight"] =
        at::zeros({3, 24});
    copy.tensors["base_model.model.model.language_model.layers.2.mlp.up_proj.lora_B.weight"] =
        at::zeros({32, 3});
    CHECK_THAT(load(), Contains("holds an adapter for language_model.layers.2.mlp.up_proj"));
  }
  SECTION("a vision layer behind the tower's end") {
    copy.tensors
        ["base_model.model.model.vision_tower.vision_model.encoder.layers.3.mlp.fc1.lora_A."
         "weight"] = at::zeros({3, 12});
    copy.tensors
        ["base_model.model.model.vision_tower.vision_model.encoder.layers.3.mlp.fc1.lora_B."
         "weight"] = at::zeros({20, 3});
    CHECK_THAT(load(), Contains("holds an adapter for vision_tower.encoder.layers.3.mlp.fc1"));
  }
  SECTION("a projector of another width") {
    copy.tensors["base_model.model.model.multi_modal_projector.linear_1.weight"] =
        at::zeros({24, 13});
    CHECK_THAT(load(), Contains("multi_modal_projector.linear_1.weight has another shape"));
  }
  SECTION("half a projector") {
    copy.tensors.erase("base_model.model.model.multi_modal_projector.linear_2.bias");
    CHECK_THAT(load(), Contains("the projector lacks multi_modal_projector.linear_2.bias"));
  }
}

TEST_CASE("kinds of adapter that are not implemented are refused by name", "[lora]") {
  AdapterCopy copy("full");
  const auto read = [&] { return refusal([&] { read_adapter_info(copy.save()); }); };
  SECTION("DoRA") {
    copy.replace("\"use_dora\": false", "\"use_dora\": true");
    CHECK_THAT(read(), EndsWith("adapter_config.json: use_dora is not implemented"));
  }
  SECTION("another method") {
    copy.replace("\"LORA\"", "\"IA3\"");
    CHECK_THAT(read(), Contains("peft_type is IA3, only LORA is implemented"));
  }
  SECTION("biases") {
    copy.replace("\"bias\": \"none\"", "\"bias\": \"all\"");
    CHECK_THAT(read(), Contains("bias is \"all\", only \"none\" is implemented"));
  }
  SECTION("layers twice") {
    copy.replace("\"layer_replication\": null", "\"layer_replication\": [[0, 2]]");
    CHECK_THAT(read(), Contains("layer_replication is not implemented"));
  }
  SECTION("other saved modules") {
    copy.replace("\"multi_modal_projector\"", "\"lm_head\"");
    CHECK_THAT(
        read(),
        Contains("modules_to_save names \"lm_head\", only multi_modal_projector is implemented"));
  }
  SECTION("another type") {
    copy.replace("\"r\": 3", "\"r\": \"3\"");
    CHECK_THAT(read(), Contains("r has another type than PEFT writes"));
  }
  SECTION("no JSON") {
    copy.config = "{";
    CHECK_THAT(read(), Contains("adapter_config.json: is not JSON at byte"));
  }
}

TEST_CASE("an adapter knows the base that it was trained on", "[lora]") {
  const TemporaryFolder folder;
  auto model = attached("full");
  save_adapter(*model, info_of("full"), folder.path());
  CHECK(other_base(*tiny_llava(), folder.path()).empty());
  CHECK(other_base(*model, golden_path("lora/full")).empty());  // PEFT's: nothing is recorded

  for (const char* dtype : {"bfloat16", "float16"}) {
    auto in_16_bits = tiny_model();
    in_16_bits.dtype = dtype;
    CHECK(other_base(*load_llava(in_16_bits, at::kCPU, 0), folder.path()).empty());
  }

  const auto changed = tiny_llava();
  changed->projector()->linears()[0]->weight().add_(1);
  CHECK(other_base(*changed, folder.path()).empty());
  changed->language().linears()[3]->weight().mul_(1.5);
  CHECK_THAT(
      other_base(*changed, folder.path()),
      EndsWith(
          ": was trained on another base, tiny; the language weights of this one are not those"));

  const auto other_eyes = tiny_llava();
  other_eyes->vision()->linears()[0]->weight().mul_(1.5);
  CHECK_THAT(other_base(*other_eyes, folder.path()),
             EndsWith("; the vision weights of this one are not those"));
}

TEST_CASE("a folder without an adapter is named", "[lora]") {
  const TemporaryFolder folder;
  const auto model = tiny_llava();
  CHECK_THAT(refusal([&] { load_adapter(*model, folder / "nowhere"); }),
             EndsWith("nowhere: is not an adapter directory"));
  CHECK_THAT(refusal([&] { load_adapter(*model, folder.path()); }),
             Contains("adapter_config.json: cannot be read"));
}

}  // namespace finer::lora
