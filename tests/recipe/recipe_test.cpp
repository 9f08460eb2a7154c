#include "finer/recipe/recipe.h"

#include "finer/core/error.h"
#include "tests/core/temporary_folder.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace fs = std::filesystem;
using Texts = std::vector<std::string>;

std::string file_text(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::stringstream text;
  text << stream.rdbuf();
  return text.str();
}

// A recipe in a file of its own, beside others it may inherit from.
class RecipeFolder {
 public:
  fs::path write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return folder_ / name;
  }
  finer::Recipe load(const std::string& text, const Texts& overrides = {}) const {
    return finer::load_recipe(write("r.yaml", text), overrides);
  }
  std::string message(const std::string& text, const Texts& overrides = {}) const {
    try {
      load(text, overrides);
    } catch (const finer::RecipeError& error) {
      std::string what = error.what();
      const std::string prefix = folder_.path().string() + "/";
      for (size_t at = 0; (at = what.find(prefix, at)) != std::string::npos;) {
        what.erase(at, prefix.size());
      }
      return what;
    }
    return "no error";
  }

 private:
  finer::TemporaryFolder folder_;
};

finer::Recipe recipe_of(const std::string& text, const Texts& overrides = {}) {
  return RecipeFolder().load(text, overrides);
}
std::string message_of(const std::string& text, const Texts& overrides = {}) {
  return RecipeFolder().message(text, overrides);
}

// The example of the design, line by line.
const std::string kExample =
    "model: {llava: models/llava-1.5-7b-hf, dtype: bfloat16}   # or language: / vision:\n"
    "train: {language: lora, projector: full, vision: frozen}  # frozen | lora | full\n"
    "lora:  {rank: 128, alpha: 256, dropout: 0.05, targets: [q_proj, k_proj, v_proj, o_proj, "
    "gate_proj, up_proj, down_proj]}\n"
    "data:\n"
    "  sets: [{path: mix.json, images: data/images, weight: 1.0}]\n"
    "  conversation: vicuna_v1\n"
    "  image_aspect: pad\n"
    "  max_tokens: 2048\n"
    "  shuffle: true\n"
    "batch: {samples: 128, device_tokens: 16384}\n"
    "optim: {lr: 2.0e-4, projector_lr: 2.0e-5, schedule: cosine, warmup_ratio: 0.03, "
    "weight_decay: 0.0, clip_norm: 1.0, epochs: 1}\n"
    "checkpoint: {every_steps: 500, keep: 2}\n"
    "output: runs/finer-7b\n"
    "seed: 0\n";

// The least a recipe can say.
const std::string kLeast =
    "model: {llava: m}\n"
    "data: {sets: [{path: a.json}]}\n"
    "output: o\n";

const std::string kScratch =
    "model:\n"
    "  tokenizer: t.model\n"
    "  from_scratch:\n"
    "    language: {vocab_size: 300, width: 128, mlp_width: 352, num_layers: 4, num_heads: 4}\n"
    "    vision: {width: 96, mlp_width: 384, num_layers: 3, num_heads: 4, image_side_px: 48, "
    "patch_side_px: 8}\n"
    "data: {sets: [{path: a.json}], max_tokens: 256}\n"
    "train: {language: full, vision: full, projector: full}\n"
    "output: o\n";

}  // namespace

TEST_CASE("the design's example loads", "[recipe]") {
  const auto r = recipe_of(kExample);
  CHECK(r.model.llava == "models/llava-1.5-7b-hf");
  CHECK(r.model.dtype == "bfloat16");
  CHECK_FALSE(r.model.use_from_scratch);
  CHECK(r.model.from_scratch.has_vision);
  CHECK(r.lora.targets.size() == 7);
  CHECK(r.lora.alpha == 256);
  REQUIRE(r.data.sets.size() == 1);
  CHECK(r.data.sets[0].images == "data/images");
  CHECK(r.batch.samples == 128);
  CHECK(r.optim.lr == 2e-4);
  CHECK(r.optim.projector_lr == 2e-5);
  CHECK(r.optim.warmup_ratio == 0.03);
  CHECK(r.output == "runs/finer-7b");
}

TEST_CASE("the least recipe has the defaults of the structs", "[recipe]") {
  const auto r = recipe_of(kLeast);
  const finer::Recipe defaults;
  CHECK(r.lora.rank == defaults.lora.rank);
  CHECK(r.data.max_tokens == defaults.data.max_tokens);
  CHECK(r.data.sets[0].images.empty());
  CHECK(r.optim.eps == defaults.optim.eps);
  CHECK(r.loss.chunk_tokens == defaults.loss.chunk_tokens);
  CHECK(r.device == "auto");
}

TEST_CASE("an empty recipe names all that is missing at once", "[recipe]") {
  CHECK(message_of("seed: 1\n") ==
        "r.yaml:1: data.sets: missing; expected a list (files to train on)\n"
        "r.yaml:1: output: missing; expected text, not empty (run directory)\n"
        "r.yaml:1: model: found none; expected exactly one of llava, language, from_scratch");
}

TEST_CASE("faults of type, range, name and combination are shown together", "[recipe]") {
  CHECK(
      message_of("model: {llava: m, language: l}\n"
                 "lora: {rank: 0, targets: [], alpha: -1}\n"
                 "data:\n"
                 "  sets:\n"
                 "    - {images: x}\n"
                 "    - {path: a, weight: 0}\n"
                 "  max_token: 5\n"
                 "batch: {samples: 0}\n"
                 "optim: {lr: 0, schedule: cosine_decay, warmup_steps: 3, warmup_ratio: 0.1}\n"
                 "output: \"\"\n",
                 {"device=gpu", "data.sets.1.loss_weight=x"}) ==
      "r.yaml:1: model: found llava and language; expected exactly one of llava, language, "
      "from_scratch\n"
      "r.yaml:2: lora.rank: found 0; expected a whole number, between 1 and 65536\n"
      "r.yaml:2: lora.alpha: found -1; expected a number, above 0 and at most 1000000\n"
      "r.yaml:2: lora.targets: found an empty list; expected at least one item\n"
      "r.yaml:5: data.sets[0].path: missing; expected text, not empty (LLaVA conversations, JSON "
      "array or JSONL)\n"
      "r.yaml:6: data.sets[1].weight: found 0; expected a number, above 0 and at most 1000000\n"
      "r.yaml:7: data.max_token: unknown key; did you mean \"max_tokens\"?\n"
      "r.yaml:8: batch.samples: found 0; expected a whole number, between 1 and 1048576\n"
      "r.yaml:9: optim.lr: found 0; expected a number, above 0 and at most 100\n"
      "r.yaml:9: optim.schedule: found \"cosine_decay\"; expected one of cosine, linear, "
      "constant\n"
      "r.yaml:9: optim.warmup_steps: given beside optim.warmup_ratio (r.yaml:9); expected one of "
      "them, the other null\n"
      "r.yaml:10: output: found \"\"; expected text, not empty\n"
      "command line: data.sets[1].loss_weight: found \"x\"; expected a number, above 0 and at most "
      "1000000\n"
      "command line: device: found \"gpu\"; expected auto, cpu, cuda or cuda:N");
}

TEST_CASE("one fault, one line", "[recipe]") {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"model.dtype=fp16",
       "model.dtype: found \"fp16\"; expected one of float32, bfloat16, float16"},
      {"model.dtype=float",
       "model.dtype: found \"float\"; expected one of float32, bfloat16, float16; did you mean "
       "\"float32\"?"},
      {"model.projector=p.bin",
       "model.projector: does nothing here; expected beside both language and vision"},
      {"model.llava=\"\"",
       "model: found none; expected exactly one of llava, language, from_scratch"},
      {"model.from_scratch.language={}",
       "model: found llava and from_scratch; expected exactly one of llava, language, "
       "from_scratch"},
      {"model.from_scratch=null",
       "model.from_scratch: found null, and no base file to take a value back from; expected a "
       "mapping, or the key left out"},
      {"train.projector=lora", "train.projector: found \"lora\"; expected one of frozen, full"},
      {"train.vision=none", "train.vision: found \"none\"; expected one of frozen, lora, full"},
      {"train.recompute=all",
       "train.recompute: found \"all\"; expected one of none, full; did you mean \"full\"?"},
      {"train={language: frozen, projector: frozen}",
       "train: nothing trains; expected lora or full for language, or full for projector"},
      {"lora.dropout=1", "lora.dropout: found 1; expected a number, at least 0 and below 1"},
      {"lora.rank_pattern={q_proj: 0}",
       "lora.rank_pattern.q_proj: found 0; expected a whole number, between 1 and 65536"},
      {"lora.targets=q_proj", "lora.targets: found \"q_proj\"; expected a list"},
      {"data.sets=[]", "data.sets: found an empty list; expected at least one item"},
      {"data.conversation=vicuna_v2",
       "data.conversation: found \"vicuna_v2\"; expected one of vicuna_v1, vicuna_v1_bare, plain; "
       "did you mean "
       "\"vicuna_v1\"?"},
      {"data.image_aspect=square",
       "data.image_aspect: found \"square\"; expected one of pad, crop"},
      {"data.shuffle=yes", "data.shuffle: found \"yes\"; expected true or false"},
      {"data.on_bad_record=skipp",
       "data.on_bad_record: found \"skipp\"; expected one of stop, skip; did you mean \"skip\"?"},
      {"loss.norm=sample", "loss.norm: found \"sample\"; expected one of token, micro_batch"},
      {"lr=1e-4", "lr: unknown key; did you mean \"optim.lr\"?"},
      {"optim.lr=nan", "optim.lr: found \"nan\"; expected a number, above 0 and at most 100"},
      {"optim.min_lr_ratio=1.5",
       "optim.min_lr_ratio: found 1.5; expected a number, between 0 and 1"},
      {"optim={schedule: constant, min_lr_ratio: 0.1}",
       "optim.min_lr_ratio: does nothing, since optim.schedule is constant; leave it out"},
      {"optim.vision_lr=1e-5",
       "optim.vision_lr: does nothing, since the vision model does not train; leave it out"},
      {"optim.matrices=moun",
       "optim.matrices: found \"moun\"; expected one of adamw, muon; did you mean \"muon\"?"},
      {"optim.muon_lr=1e-3",
       "optim.muon_lr: does nothing, since optim.matrices is adamw; leave it out"},
      {"optim.muon_momentum=0.9",
       "optim.muon_momentum: does nothing, since optim.matrices is adamw; leave it out"},
      {"seed=-1",
       "seed: found -1; expected a whole number from 0 to 2^64 - 1 (it does not fit into 64 bits)"},
      {"device=cuda:", "device: found \"cuda:\"; expected auto, cpu, cuda or cuda:N"},
      {"device=cuda:01", "device: found \"cuda:01\"; expected auto, cpu, cuda or cuda:N"},
      {"device=cuda:-1", "device: found \"cuda:-1\"; expected auto, cpu, cuda or cuda:N"},
      {"output=null", "output: missing; expected text, not empty (run directory)"},
  };
  for (const auto& [override_text, expected] : cases) {
    INFO(override_text);
    const std::string message = message_of(kLeast, {override_text});
    // Some stand where the file has the section, the rest on the command line.
    CHECK(message.substr(message.find(": ") + 2) == expected);
    CHECK(message.find('\n') == std::string::npos);
  }
}

TEST_CASE("each device name that exists is accepted", "[recipe]") {
  for (const char* device : {"auto", "cpu", "cuda", "cuda:0", "cuda:12"}) {
    CHECK(recipe_of(kLeast, {std::string("device=") + device}).device == device);
  }
}

TEST_CASE("a model comes from one place, with the parts that belong to it", "[recipe]") {
  const auto model_message = [](const std::string& model) {
    return message_of("model: " + model + "\ndata: {sets: [{path: a}]}\noutput: o\n");
  };
  CHECK(model_message("{llava: m, vision: clip}") == "no error");
  CHECK(model_message("{language: l, vision: clip}") == "no error");
  CHECK(model_message("{language: l, vision: clip, projector: p.bin, tokenizer: t}") == "no error");
  CHECK(model_message("{language: l}") == "no error");
  CHECK(model_message("{vision: clip}") ==
        "r.yaml:1: model: found none; expected exactly one of llava, language, from_scratch");
  CHECK(model_message("{language: l, projector: p.bin}") ==
        "r.yaml:1: model.projector: does nothing here; expected beside both language and vision");
  CHECK(model_message("{lava: m}") == "r.yaml:1: model.lava: unknown key; did you mean \"llava\"?");
  CHECK(model_message("{from_scratch: {language: {}}}") ==
        "r.yaml:1: model.tokenizer: missing; expected a tokenizer's directory or file, since "
        "from_scratch has none of its own");
  CHECK(model_message("{tokenizer: t, vision: clip, from_scratch: {language: {}}}") ==
        "r.yaml:1: model.vision: does nothing beside from_scratch; leave it out, or give "
        "from_scratch.vision");
  CHECK(model_message("{tokenizer: t, from_scratch: {vision: {}}}") ==
        "r.yaml:1: model.from_scratch.language: missing; expected a mapping (LLaMA decoder)");
}

TEST_CASE("a text-only model trains its language model and nothing else", "[recipe]") {
  const std::string text = "model: {language: l}\ndata: {sets: [{path: a}]}\noutput: o\n";
  const auto r = recipe_of(text);
  CHECK_FALSE(r.model.from_scratch.has_vision);
  CHECK(r.train.projector == "frozen");
  CHECK(r.train.vision == "frozen");
  CHECK(message_of(text, {"train.projector=frozen"}) == "no error");
  const std::string with = " with a model that reads text only; expected frozen, or a vision model";
  CHECK(message_of(text + "train: {projector: full, vision: lora}\n") ==
        "r.yaml:4: train.vision: found \"lora\"" + with +
            "\nr.yaml:4: train.projector: found \"full\"" + with);
  CHECK(message_of(text, {"train.language=frozen"}) ==
        "command line: train: nothing trains; expected lora or full for language, or full for "
        "projector");
  CHECK(message_of(text, {"optim.projector_lr=1e-4"}) ==
        "command line: optim.projector_lr: does nothing, since the projector does not train; leave "
        "it out");
  CHECK(message_of(text, {"optim.matrices=muon"}) ==
        "command line: optim.matrices: does nothing, since no part trains in full; leave it out");
  CHECK(message_of(text, {"optim.matrices=muon", "train.language=full"}) == "no error");
  const std::string llava = "model: {llava: l}\ndata: {sets: [{path: a}]}\noutput: o\n";
  CHECK(message_of(llava, {"optim={matrices: muon, muon_lr: 0.01, projector_lr: 0.001}"}) ==
        "command line: optim.muon_lr: does nothing, since all parts that train in full have their "
        "own rate; leave it out");
  CHECK(message_of(llava, {"optim={matrices: muon, muon_lr: 0.01}"}) == "no error");
  CHECK(message_of(text, {"data.picture_group=3"}) ==
        "command line: data.picture_group: does nothing, since the model reads text only; leave it "
        "out");
}

TEST_CASE("sizes from scratch fit each other", "[recipe]") {
  const auto r = recipe_of(kScratch);
  CHECK(r.model.use_from_scratch);
  CHECK(r.model.from_scratch.has_vision);
  CHECK(r.model.from_scratch.language.num_kv_heads == 4);
  CHECK(r.model.from_scratch.language.head_size == 32);
  CHECK(r.model.from_scratch.image_positions() == 36);

  const std::vector<std::pair<std::string, std::string>> cases = {
      {"language.width=130",
       "language.width: found 130 with num_heads 4; expected an even number a head, or head_size "
       "given"},
      {"language.width=132",
       "language.width: found 132 with num_heads 4; expected an even number a head, or head_size "
       "given"},
      {"language.head_size=31", "language.head_size: found 31; expected an even number"},
      {"language.num_kv_heads=3",
       "language.num_kv_heads: found 3; expected a divisor of num_heads, which is 4"},
      {"language={rope_scaling: llama3, rope_high_freq_factor: 1}",
       "language.rope_high_freq_factor: found no more than rope_low_freq_factor; expected above "
       "it"},
      {"language.width=9223372036854775807",
       "language.width: found 9223372036854775807; expected a whole number, between 1 and 65536"},
      {"language.num_heads=0",
       "language.num_heads: found 0; expected a whole number, between 1 and 1024"},
      {"vision.width=98", "vision.width: found 98; expected a multiple of num_heads, which is 4"},
      {"vision.patch_side_px=7",
       "vision.image_side_px: found 48; expected a multiple of patch_side_px, which is 7"},
      {"vision.patch_side_px=0",
       "vision.patch_side_px: found 0; expected a whole number, between 1 and 4096"},
      {"vision.activation=relu",
       "vision.activation: found \"relu\"; expected one of quick_gelu, gelu; did you mean "
       "\"gelu\"?"},
      {"projector.kind=mlp",
       "projector.kind: found \"mlp\"; expected linear or mlpNx_gelu with N from 1 to 16, such as "
       "mlp2x_gelu"},
      {"feature_layer=-5",
       "feature_layer: found -5; expected between -4 and 3, as vision.num_layers is 3"},
  };
  for (const auto& [override_text, expected] : cases) {
    const std::string message = message_of(kScratch, {"model.from_scratch." + override_text});
    CHECK(message.substr(message.find(": ") + 2) == "model.from_scratch." + expected);
  }
  for (const char* kind : {"mlp0x_gelu", "mlp17x_gelu", "mlpx_gelu", "mlp-1x_gelu", "mlp02x_gelu",
                           "mlp99999999999x_gelu", "mlp2x_gelu ", "lin"}) {
    INFO(kind);
    CHECK(message_of(kScratch, {std::string("model.from_scratch.projector.kind=") + kind}) !=
          "no error");
  }
  for (const char* kind : {"linear", "mlp1x_gelu", "mlp16x_gelu"}) {
    CHECK(message_of(kScratch, {std::string("model.from_scratch.projector.kind=") + kind}) ==
          "no error");
  }
  CHECK(
      message_of(kScratch, {"data.max_tokens=36"}) ==
      "command line: data.max_tokens: found 36; expected more than the 36 positions of a picture");
  CHECK(message_of(kScratch, {"model.from_scratch.language.head_size=20",
                              "model.from_scratch.language.width=130"}) == "no error");
}

TEST_CASE("a model from scratch without a vision section reads text only", "[recipe]") {
  const std::string text =
      "model: {tokenizer: t, from_scratch: {language: {width: 32, num_heads: 4}}}\n"
      "train: {language: full}\ndata: {sets: [{path: a}]}\noutput: o\n";
  const auto r = recipe_of(text);
  CHECK_FALSE(r.model.from_scratch.has_vision);
  CHECK(r.train.projector == "frozen");
  CHECK(message_of(text, {"model.from_scratch.projector.kind=linear"}) ==
        "command line: model.from_scratch.projector: does nothing, since the model has no vision "
        "section; leave it out");
}

TEST_CASE("a lora section without an adapter is a fault of this file, not of its base",
          "[recipe]") {
  const std::string idle =
      "lora: does nothing, since neither train.language nor train.vision is lora; leave it out";
  CHECK(message_of(kLeast + "train: {language: full}\nlora: {rank: 4}\n") == "r.yaml:5: " + idle);
  CHECK(message_of(kLeast + "train: {language: full}\n", {"lora.rank=4"}) ==
        "command line: " + idle);
  CHECK(message_of(kLeast + "train: {language: frozen, vision: lora}\nlora: {rank: 4}\n") ==
        "no error");
  RecipeFolder folder;
  folder.write("b.yaml", kLeast + "lora: {rank: 4}\noptim: {projector_lr: 1.0e-5}\n");
  const auto r = folder.load("base: b.yaml\ntrain: {language: full, projector: frozen}\n");
  CHECK(r.lora.rank == finer::lora::LoraConfig{}.rank);
  CHECK(r.optim.projector_lr == 0);
  CHECK(folder.message("base: b.yaml\ntrain: {projector: frozen}\noptim: {projector_lr: 1}\n") ==
        "r.yaml:3: optim.projector_lr: does nothing, since the projector does not train; leave it "
        "out");
}

TEST_CASE("warm-up is given in steps or as a share, not both", "[recipe]") {
  const auto steps = recipe_of(kLeast, {"optim.warmup_steps=10"});
  CHECK(steps.optim.warmup_steps == 10);
  CHECK(steps.optim.warmup_ratio == 0);
  RecipeFolder folder;
  folder.write("b.yaml", kLeast + "optim: {warmup_ratio: 0.1}\n");
  CHECK(folder.message("base: b.yaml\noptim:\n  warmup_steps: 10\n") ==
        "r.yaml:3: optim.warmup_steps: given beside optim.warmup_ratio (b.yaml:4); expected one of "
        "them, the other null");
  CHECK(folder.message("base: b.yaml\noptim: {warmup_steps: 10, warmup_ratio: null}\n") ==
        "no error");
  CHECK(folder.message("base: b.yaml\noptim: {warmup_steps: 10, warmup_ratio: 0}\n") == "no error");
}

TEST_CASE("a misspelt key brings no faults that follow from it", "[recipe]") {
  CHECK(message_of(kLeast, {"train.lanuage=full", "lora.rank=4"}) ==
        "command line: train.lanuage: unknown key; did you mean \"language\"?");
  CHECK(message_of("modle: {llava: m}\ndata: {sets: [{path: a}]}\noutput: o\n") ==
        "r.yaml:1: modle: unknown key; did you mean \"model\"?\n"
        "r.yaml:1: model: found none; expected exactly one of llava, language, from_scratch");
  CHECK(message_of("model: [\n").find('\n') == std::string::npos);
}

TEST_CASE("a resolved recipe loads to the same recipe", "[recipe]") {
  const std::vector<std::pair<std::string, Texts>> cases = {
      {kExample, {}},
      {kLeast, {}},
      {kScratch, {}},
      {kLeast, {"train.language=full", "optim.warmup_steps=7", "seed=18446744073709551615"}},
      {kLeast, {"model={language: l, llava: \"\"}"}},
      {kLeast, {"model={language: l, vision: v, projector: p, llava: \"\"}", "optim.lr=0.1"}},
      {kLeast, {"model={tokenizer: t, from_scratch: {language: {}}, llava: \"\"}"}},
      {kLeast,
       {"optim.lr=3.0000000000000004e-4", "output=\"a \\\"b\\\" #c\"",
        "lora.rank_pattern={\"a.**.b\": 3}", "lora.alpha_pattern={x: 0.1}",
        "data.sets=[{path: \"5\"}, {path: \"null\", weight: 0.333}]"}},
  };
  for (const auto& [text, overrides] : cases) {
    const std::string yaml = finer::recipe_to_yaml(recipe_of(text, overrides));
    INFO(yaml);
    CHECK(yaml.rfind("# A resolved recipe of finer", 0) == 0);
    CHECK(finer::recipe_to_yaml(recipe_of(yaml)) == yaml);
  }
  const auto r = recipe_of(finer::recipe_to_yaml(recipe_of(kLeast, cases.back().second)));
  CHECK(r.optim.lr == 3.0000000000000004e-4);
  CHECK(r.output == "a \"b\" #c");
  CHECK(r.lora.rank_pattern.at("a.**.b") == 3);
  CHECK(r.data.sets[1].path == "null");
  CHECK(r.data.sets[1].weight == 0.333);
}

TEST_CASE("every recipe in the tree loads", "[recipe]") {
  // From the root, since paths such as base: are relative to the file alone. Bases lack data,
  // output, and maybe the model.
  int count = 0;
  for (const auto& entry :
       fs::recursive_directory_iterator(fs::path(FINER_SOURCE_DIR) / "recipes")) {
    if (entry.path().extension() != ".yaml") continue;
    const std::string folder = entry.path().parent_path().filename();
    if (folder == "mixture" || folder == "eval" || entry.path().stem().string().starts_with("eval"))
      continue;
    Texts lacking;
    if (folder == "base") lacking = {"output=o", "data.sets=[{path: a.json}]"};
    if (folder == "base" && entry.path().stem() == "mini") lacking.push_back("model.llava=m");
    INFO(entry.path());
    const auto r = finer::load_recipe(entry.path(), lacking);
    CHECK(finer::recipe_to_yaml(r).size() > 100);
    ++count;
  }
  CHECK(count >= 3);
}

TEST_CASE("the paper's recipe says what the paper says", "[recipe]") {
  const fs::path folder = fs::path(FINER_SOURCE_DIR) / "recipes" / "finer";
  const auto seek = finer::load_recipe(folder / "attrseek.yaml", {});
  CHECK(seek.lora.rank == 128);
  CHECK(seek.lora.alpha == 256);
  CHECK(seek.lora.targets.size() == 7);
  CHECK(seek.optim.lr == 2e-4);
  CHECK(seek.optim.projector_lr == 0);
  CHECK(seek.optim.warmup_ratio == 0.03);
  CHECK(seek.optim.schedule == "cosine");
  CHECK(seek.optim.weight_decay == 0);
  CHECK(seek.optim.epochs == 1);
  CHECK(seek.batch.samples == 64);
  CHECK(seek.data.max_tokens == 2048);
  CHECK(seek.data.image_aspect == "pad");
  CHECK(seek.train.projector == "full");
  // The arms differ by what they read and where they write, and in nothing else.
  auto direct = finer::load_recipe(folder / "direct.yaml", {});
  CHECK(direct.data.sets[0].path != seek.data.sets[0].path);
  direct.data.sets[0].path = seek.data.sets[0].path;
  direct.output = seek.output;
  CHECK(finer::recipe_to_yaml(direct) == finer::recipe_to_yaml(seek));
}

TEST_CASE("docs/recipes.md is what the program explains", "[recipe]") {
  const fs::path file = fs::path(FINER_SOURCE_DIR) / "docs" / "recipes.md";
  const std::string text = finer::explain_recipe(true);
  if (std::getenv("FINER_WRITE_DOCS") != nullptr) std::ofstream(file, std::ios::binary) << text;
  const bool is_equal = file_text(file) == text;
  INFO("write it anew: FINER_WRITE_DOCS=1 recipe_test \"docs*\"");
  CHECK(is_equal);
  CHECK(finer::explain_recipe(false).find("optim.lr  (number, above 0 and at most 100; default "
                                          "2.0e-04)") != std::string::npos);
}
