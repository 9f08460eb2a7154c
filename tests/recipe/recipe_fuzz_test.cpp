#include "finer/core/error.h"
#include "finer/core/rng.h"
#include "finer/recipe/recipe.h"
#include "tests/core/temporary_folder.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

namespace {

const std::string kRecipe = R"(base: base.yaml
model:
  tokenizer: "t.model"
  from_scratch:
    language: {vocab_size: 300, width: 128, mlp_width: 352, num_layers: 4, num_heads: 4}
    vision: {width: 96, num_layers: 3, num_heads: 4, image_side_px: 48, patch_side_px: 8}
train: {language: lora, projector: full, vision: frozen}
lora:
  rank: 8
  targets: [q_proj, "v_proj", 'o_proj']
  rank_pattern: {language_model.**.q_proj: 4}
data:
  sets:
    - path: a.json
      weight: 0.5
    - {path: b.json, images: data/images}
  max_tokens: 256
optim: {lr: 2.0e-4, warmup_steps: 5}   # a comment
output: runs/x
seed: 7
)";

// What YAML gives a meaning to, and words that are keys or values here.
const std::vector<std::string> kPieces = {"{",
                                          "}",
                                          "[",
                                          "]",
                                          ":",
                                          ": ",
                                          "- ",
                                          "\n",
                                          "\n  ",
                                          ",",
                                          "&a ",
                                          "*a",
                                          "!!x ",
                                          "? ",
                                          "|\n",
                                          ">\n",
                                          "\"",
                                          "'",
                                          "#",
                                          "%TAG",
                                          "---",
                                          "...\n",
                                          "<<: ",
                                          "null",
                                          "~",
                                          "\\",
                                          "\\x00",
                                          "\t",
                                          "\xc3\xa9",
                                          "\xff",
                                          "base",
                                          "lora",
                                          "data",
                                          "model",
                                          "vision",
                                          "1e999",
                                          "-0",
                                          ".nan",
                                          "\r\n",
                                          "=",
                                          "9223372036854775807",
                                          "from_scratch: ",
                                          "base: r.yaml\n",
                                          "true",
                                          "\xef\xbb\xbf",
                                          "\x01"};

const std::vector<std::string> kOverrides = {
    "data.sets.0.weight=2", "lora.targets=[k_proj, \"a: b\"]", "lora.alpha_pattern={x: 1, y: 2.5}",
    "model.dtype=bfloat16", "seed=null"};

std::string mutate(std::string text, finer::Rng& rng) {
  const uint64_t edits = 1 + rng.below(3);
  for (uint64_t i = 0; i < edits; ++i) {
    const size_t at = rng.below(text.size() + 1);
    const size_t length = std::min<size_t>(rng.below(20), text.size() - at);
    switch (rng.below(8)) {
      case 0:
        text.erase(at, length);
        break;
      case 1:
        text.insert(at, kPieces[rng.below(kPieces.size())]);
        break;
      case 2:
        text.replace(at, length, kPieces[rng.below(kPieces.size())]);
        break;
      case 3:
        text.insert(at, text.substr(rng.below(text.size() + 1), rng.below(60)));
        break;
      case 4:
        if (at < text.size()) text[at] = static_cast<char>(rng.next());
        break;
      case 5:
        text.resize(at);
        break;
      default:
        // Another digit keeps most recipes readable, with other values.
        if (const size_t digit = text.find_first_of("0123456789", at); digit < text.size()) {
          text[digit] = static_cast<char>('0' + rng.below(10));
        }
    }
  }
  return text;
}

}  // namespace

TEST_CASE("a mutated recipe loads to one that writes and loads again, or is a RecipeError",
          "[recipe]") {
  const finer::TemporaryFolder folder;
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream(folder / name, std::ios::binary) << text;
    return folder / name;
  };
  write("base.yaml", "lora: {dropout: 0.1}\ncheckpoint: {keep: 3}\n");
  const char* const kSeed = std::getenv("FINER_FUZZ_SEED");
  const char* const kCount = std::getenv("FINER_FUZZ_COUNT");
  finer::Rng rng(kSeed == nullptr ? 1 : std::stoull(kSeed));
  const int count = kCount == nullptr ? 3000 : std::stoi(kCount);
  int loaded = 0, refused = 0;
  for (int i = 0; i < count; ++i) {
    const std::string text = mutate(kRecipe, rng);
    std::vector<std::string> overrides;
    for (uint64_t n = rng.below(3); n > 0; --n) {
      const std::string known = kOverrides[rng.below(kOverrides.size())];
      overrides.push_back(rng.below(2) == 0 ? known : mutate(known, rng));
    }
    INFO(text);
    try {
      const auto recipe = finer::load_recipe(write("r.yaml", text), overrides);
      const std::string yaml = finer::recipe_to_yaml(recipe);
      REQUIRE(finer::recipe_to_yaml(finer::load_recipe(write("again.yaml", yaml), {})) == yaml);
      ++loaded;
    } catch (const finer::RecipeError& error) {
      const std::string message = error.what();
      REQUIRE_FALSE(message.empty());
      for (const char c : message) {
        const auto byte = static_cast<unsigned char>(c);
        REQUIRE(((byte >= 0x20 && byte < 0x7f) || c == '\n'));
      }
      ++refused;
    }
  }
  // Both ways are really taken.
  CHECK(loaded > count / 50);
  CHECK(refused > count / 4);
}
