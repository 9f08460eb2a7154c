#include "finer/model/save.h"

#include "finer/model/hf_config.h"
#include "tests/core/temporary_folder.h"
#include "tests/model/tiny_llava.h"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>

namespace finer {

namespace {

ModelConfig saved_at(const TemporaryFolder& folder) {
  ModelConfig model;
  model.llava = folder.path().string();
  return model;
}

}  // namespace

TEST_CASE("a saved model loads to the same bits, its unused vision layer gone", "[model]") {
  const auto g = golden("model/logits.safetensors");
  const TemporaryFolder folder;
  const auto model = tiny_llava();
  save_model(*model, tiny_model(), folder.path());
  const auto again = load_llava(saved_at(folder), at::kCPU, 0);
  CHECK(again->config().vision.num_layers == 2);
  const auto expected = weights_of(*model), found = weights_of(*again);
  REQUIRE(found.size() == expected.size());
  for (const auto& [name, value] : expected) {
    INFO(name);
    CHECK(at::equal(found.at(name), value));
  }
  const auto input = packed_input({g.at("picture.ids")}, g.at("picture.pixels"));
  CHECK(at::equal(logits_of(*again, input), logits_of(*model, input)));
}

TEST_CASE("projectors of any length are saved and read back", "[model]") {
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
  config.tokenizer = golden_path("text/llama.model");
  for (const std::string kind : {"linear", "mlp2x_gelu", "mlp3x_gelu", "mlp11x_gelu"}) {
    INFO(kind);
    config.from_scratch.projector.kind = kind;
    const TemporaryFolder folder;
    const auto model = load_llava(config, at::kCPU, 1);
    save_model(*model, config, folder.path());
    const auto again = load_llava(saved_at(folder), at::kCPU, 0);
    CHECK(again->config().projector.kind == kind);
    const auto features = drawn({3, 4}, 1);
    CHECK(at::equal(again->projector()->forward(features), model->projector()->forward(features)));
  }
}

TEST_CASE("a base's hash tells one base from another", "[model]") {
  const auto here = base_hash(tiny_model(), 0);
  CHECK(here == base_hash(tiny_model(), 1));  // files, not the seed
  const TemporaryFolder folder;
  const auto model = tiny_llava();
  const auto copy = [&] {
    for (const std::string name : {"config.json", "model.safetensors"}) {
      std::filesystem::copy_file(golden_path("model/llava/" + name), folder / name,
                                 std::filesystem::copy_options::overwrite_existing);
    }
  };
  copy();
  CHECK(base_hash(saved_at(folder), 0) == here);  // wherever it lies
  {
    std::fstream file(folder / "model.safetensors",
                      std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-1, std::ios::end);
    file.put('\x7f');
  }
  CHECK(base_hash(saved_at(folder), 0) != here);

  ModelConfig scratch;
  scratch.use_from_scratch = true;
  const auto first = base_hash(scratch, 0);
  CHECK(first != base_hash(scratch, 1));
  scratch.from_scratch.language.width *= 2;
  CHECK(first != base_hash(scratch, 0));
}

}  // namespace finer
