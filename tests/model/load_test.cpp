#include "finer/model/load.h"

#include "tests/core/temporary_folder.h"
#include "tests/model/tiny_llava.h"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>

namespace finer {

namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

// A copy of the tiny LLaVA whose files can be changed.
class Copy {
 public:
  Copy() {
    fs::copy_file(golden_path("model/llava/config.json"), folder_ / "config.json");
    tensors = golden("model/llava/model.safetensors");
  }
  ModelConfig save() {
    save_safetensors(folder_ / "model.safetensors", tensors, {{"format", "pt"}});
    return model();
  }
  // The tensors below `from_name` in one file, the others in a second.
  ModelConfig save_sharded(const std::string& from_name) {
    Tensors first(tensors.begin(), tensors.lower_bound(from_name)),
        second(tensors.lower_bound(from_name), tensors.end());
    save_safetensors(folder_ / "model-00001-of-00002.safetensors", first);
    save_safetensors(folder_ / "model-00002-of-00002.safetensors", second);
    std::ofstream index(folder_ / "model.safetensors.index.json");
    index << R"({"weight_map": {)";
    const char* comma = "";
    for (const auto& [name, tensor] : tensors) {
      index << comma << '"' << name << R"(": "model-0000)" << (first.count(name) ? 1 : 2)
            << R"(-of-00002.safetensors")";
      comma = ", ";
    }
    index << "}}";
    return model();
  }
  ModelConfig model() const {
    ModelConfig out;
    out.llava = folder_.path().string();
    return out;
  }
  fs::path file(const std::string& name) const { return folder_ / name; }

  Tensors tensors;

 private:
  TemporaryFolder folder_;
};

// What both loading and planning say; both must find every fault.
std::string fault_of(const ModelConfig& model) {
  std::string loading = "(nothing)", planning = "(nothing)";
  try {
    load_llava(model, at::kCPU, 0);
  } catch (const CheckpointError& error) {
    loading = error.what();
  }
  try {
    plan_llava(model);
  } catch (const CheckpointError& error) {
    planning = error.what();
  }
  CHECK(loading == planning);
  return loading;
}

const std::string kUp = "language_model.model.layers.1.mlp.up_proj.weight";

}  // namespace

TEST_CASE("a whole copy loads, in one file or in shards", "[model]") {
  Copy copy;
  const auto expected = weights_of(*tiny_llava());
  SECTION("one file") { copy.save(); }
  SECTION("shards") { copy.save_sharded(kUp); }
  const auto found = weights_of(*load_llava(copy.model(), at::kCPU, 0));
  REQUIRE(found.size() == expected.size());
  for (const auto& [name, value] : expected) CHECK(at::equal(value, found.at(name)));
  CHECK(fault_of(copy.model()) == "(nothing)");
}

TEST_CASE("a missing weight is named, in our name, with the number of all that are missing",
          "[model]") {
  Copy copy;
  copy.tensors.erase(kUp);
  CHECK(fault_of(copy.save()) ==
        copy.model().llava + ": 1 weights are missing: language_model.layers.1.mlp.up_proj.weight");
  for (const std::string name :
       {"language_model.lm_head.weight", "multi_modal_projector.linear_1.bias",
        "vision_tower.vision_model.embeddings.class_embedding"}) {
    copy.tensors.erase(name);
  }
  CHECK_THAT(fault_of(copy.save()), Contains("4 weights are missing") &&
                                        Contains("language_model.lm_head.weight") &&
                                        Contains(", ..."));
}

TEST_CASE("a left-over tensor is named, as the file has it", "[model]") {
  Copy copy;
  const std::string name =
      GENERATE("language_model.model.layers.2.mlp.up_proj.weight",
               "language_model.model.layers.0.self_attn.q_proj.bias",
               "vision_tower.vision_model.encoder.layers.3.mlp.fc1.weight", "qformer.weight");
  copy.tensors[name] = at::zeros({2});
  CHECK_THAT(fault_of(copy.save()),
             Contains("model.safetensors: tensor \"" + name + "\" has no place"));
}

TEST_CASE("layers of the tower behind the features are left alone, whatever is in them",
          "[model]") {
  Copy copy;
  for (auto& [name, tensor] : copy.tensors) {
    if (name.find("encoder.layers.2.") != std::string::npos ||
        name.find("post_layernorm") != std::string::npos) {
      tensor = at::zeros({1});
    }
  }
  copy.tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = at::zeros({3});
  CHECK(fault_of(copy.save()) == "(nothing)");
}

TEST_CASE("another shape is named with what was found and what the config asks for", "[model]") {
  Copy copy;
  copy.tensors[kUp] = at::zeros({24, 32});
  CHECK_THAT(fault_of(copy.save()),
             Contains("tensor \"" + kUp + "\" has shape [24, 32], the config asks for [32, 24]"));
}

TEST_CASE("the same weight under two generations of names is refused", "[model]") {
  Copy copy;
  copy.tensors["model.language_model.layers.1.mlp.up_proj.weight"] = copy.tensors.at(kUp);
  CHECK_THAT(fault_of(copy.save()),
             Contains("is the second one for language_model.layers.1.mlp.up_proj.weight"));
}

TEST_CASE("whole numbers where weights belong are refused", "[model]") {
  Copy copy;
  copy.tensors[kUp] = at::zeros({32, 24}, at::kInt);
  CHECK_THAT(fault_of(copy.save()),
             Contains("tensor \"" + kUp + "\" holds Int, expected a floating-point type"));
}

TEST_CASE("a truncated shard names file and tensor", "[model]") {
  Copy copy;
  copy.save_sharded(kUp);
  const auto shard = copy.file("model-00002-of-00002.safetensors");
  fs::resize_file(shard, fs::file_size(shard) - 5000);
  CHECK_THAT(fault_of(copy.model()),
             Contains(shard.string()) && Contains("truncated?") && Contains("vision_tower."));
}

TEST_CASE("a shard that is not there is named", "[model]") {
  Copy copy;
  copy.save_sharded(kUp);
  fs::remove(copy.file("model-00002-of-00002.safetensors"));
  CHECK_THAT(fault_of(copy.model()),
             Contains("names \"model-00002-of-00002.safetensors\", which is not in the folder"));
}

TEST_CASE("half-precision files fill a float32 model, and the other way round", "[model]") {
  Copy copy;
  for (auto& [name, tensor] : copy.tensors) tensor = tensor.to(at::kHalf);
  const auto model = load_llava(copy.save(), at::kCPU, 0);
  const auto expected = weights_of(*tiny_llava());
  for (const auto& [name, value] : weights_of(*model)) {
    CHECK(value.scalar_type() == at::kFloat);
    CHECK(at::equal(value, expected.at(name).to(at::kHalf).to(at::kFloat)));
  }
  auto half = tiny_model();
  half.dtype = "bfloat16";
  for (const auto& [name, value] : weights_of(*load_llava(half, at::kCPU, 0))) {
    CHECK(at::equal(value, expected.at(name).to(at::kBFloat16)));
  }
}

TEST_CASE("a plan has the sizes of the model and no memory", "[model]") {
  const auto plan = plan_llava(tiny_model());
  const auto expected = weights_of(*tiny_llava());
  size_t count = 0;
  plan->visit_weights([&](const std::string& name, const at::Tensor& slot) {
    CHECK(slot.is_meta());
    CHECK(slot.sizes() == expected.at(name).sizes());
    ++count;
  });
  CHECK(count == expected.size());
}

TEST_CASE("a model from scratch is drawn from the seed, weight by weight", "[model]") {
  ModelConfig model;
  model.use_from_scratch = true;
  model.from_scratch.language = {.vocab_size = 400,
                                 .width = 64,
                                 .mlp_width = 96,
                                 .num_layers = 2,
                                 .num_heads = 4,
                                 .num_kv_heads = 2,
                                 .head_size = 16};
  model.from_scratch.vision = {.width = 32,
                               .mlp_width = 48,
                               .num_layers = 3,
                               .num_heads = 2,
                               .image_side_px = 16,
                               .patch_side_px = 4};
  const auto one = weights_of(*load_llava(model, at::kCPU, 7)),
             same = weights_of(*load_llava(model, at::kCPU, 7)),
             other = weights_of(*load_llava(model, at::kCPU, 8));
  for (const auto& [name, value] : one) {
    INFO(name);
    CHECK(at::equal(value, same.at(name)));
    const bool is_constant = value.dim() == 1 && name.find("embedding") == std::string::npos &&
                             name.find("projector") == std::string::npos;
    CHECK(at::equal(value, other.at(name)) == is_constant);
  }
  const auto spread = [&](const std::string& name) { return one.at(name).std().item<double>(); };
  CHECK(spread("language_model.embed_tokens.weight") == Approx(0.02).epsilon(0.05));
  CHECK(spread("language_model.layers.0.self_attn.q_proj.weight") == Approx(1 / 8.0).epsilon(0.05));
  CHECK(spread("language_model.layers.1.mlp.down_proj.weight") ==
        Approx(0.5 / std::sqrt(96.0)).epsilon(0.05));
  CHECK(spread("vision_tower.embeddings.patch_embedding.weight") ==
        Approx(1 / std::sqrt(48.0)).epsilon(0.05));
  const auto& first = one.at("multi_modal_projector.linear_1.weight");
  CHECK(first.abs().max().item<double>() <= 1 / std::sqrt(32.0));
  CHECK(first.abs().max().item<double>() > 0.98 / std::sqrt(32.0));
  CHECK(at::equal(one.at("language_model.norm.weight"), at::ones({64})));

  // a weight does not depend on what else is in the model
  auto longer = model;
  longer.from_scratch.vision.num_layers = 5;
  const auto more = weights_of(*load_llava(longer, at::kCPU, 7));
  CHECK(at::equal(more.at("language_model.layers.1.self_attn.q_proj.weight"),
                  one.at("language_model.layers.1.self_attn.q_proj.weight")));
}

TEST_CASE("every layer of a long projector from scratch is drawn within its own bound", "[model]") {
  ModelConfig model;
  model.use_from_scratch = true;
  model.from_scratch.language = {.vocab_size = 10,
                                 .width = 64,
                                 .mlp_width = 8,
                                 .num_layers = 1,
                                 .num_heads = 4,
                                 .num_kv_heads = 4,
                                 .head_size = 16};
  model.from_scratch.vision = {.width = 16,
                               .mlp_width = 8,
                               .num_layers = 2,
                               .num_heads = 2,
                               .image_side_px = 4,
                               .patch_side_px = 4};
  model.from_scratch.projector.kind = "mlp11x_gelu";
  const auto weights = weights_of(*load_llava(model, at::kCPU, 7));
  for (int layer = 1; layer <= 11; ++layer) {
    INFO("layer " << layer);
    const auto& weight =
        weights.at("multi_modal_projector.linear_" + std::to_string(layer) + ".weight");
    const double bound = 1 / std::sqrt(layer == 1 ? 16.0 : 64.0);
    CHECK(weight.abs().max().item<double>() <= bound);
    CHECK(weight.abs().max().item<double>() > 0.97 * bound);
  }
}

TEST_CASE("an unknown dtype is refused with those that are known", "[model]") {
  CHECK(dtype_from_name("bfloat16") == at::kBFloat16);
  CHECK_THROWS_WITH(dtype_from_name("fp8"),
                    "dtype \"fp8\" is unknown; expected float32, bfloat16 or float16");
}

}  // namespace finer
