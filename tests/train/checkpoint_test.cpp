#include "finer/train/checkpoint.h"

#include "finer/core/error.h"
#include "finer/train/step.h"
#include "tests/core/temporary_folder.h"
#include "tests/train/small_steps.h"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <functional>
#include <set>

namespace finer {

namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;

Recipe recipe_for(const TrainConfig& train) {
  Recipe recipe;
  recipe.model = tiny_model();
  recipe.train = train;
  recipe.lora.rank = 3;
  recipe.lora.alpha = 6;
  recipe.optim = TinyRun::fast();
  return recipe;
}

RunState state_at(int64_t step) {
  RunState state;
  state.step = step;
  state.position = 10 * step;
  state.skipped = 3;
  state.counts = {
      .samples = 50, .dropped_over_length = 1, .cut = 2, .dropped_zero_label = 3, .bad_records = 4};
  state.scaler = {.scale = 4096, .good_steps = 17};
  state.data_hashes = {0xffffffffffffffffULL, 7};  // more than a double or a signed number holds
  state.base_hash = 0x8000000000000001ULL;
  return state;
}

void step_on(TinyRun& run, int64_t step) {
  auto batch = step_of({four_samples()});
  batch.step = step;
  REQUIRE_FALSE(train_step(*run.model, *run.optimizer, batch, {}, 1, 1).skipped);
}

void check_equal(const Tensors& found, const Tensors& expected) {
  REQUIRE(found.size() == expected.size());
  for (const auto& [name, value] : expected) {
    INFO(name);
    CHECK(at::equal(found.at(name), value));
  }
}

std::string refusal(const std::function<void()>& body) {
  try {
    body();
  } catch (const CheckpointError& error) {
    return error.what();
  }
  return "(nothing)";
}

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> out;
  for (const auto& entry : fs::directory_iterator(folder))
    out.insert(entry.path().filename().string());
  return out;
}

TrainConfig mode(const std::string& language, const std::string& projector,
                 const std::string& vision) {
  TrainConfig config;
  config.language = language;
  config.projector = projector;
  config.vision = vision;
  return config;
}

}  // namespace

TEST_CASE("a checkpoint brings back every bit, and the next steps are the unbroken run's",
          "[train]") {
  for (const auto& train : {mode("lora", "full", "frozen"), mode("lora", "frozen", "lora"),
                            mode("full", "full", "full"), mode("frozen", "full", "frozen")}) {
    INFO("language " << train.language << ", projector " << train.projector << ", vision "
                     << train.vision);
    const TemporaryFolder folder;
    TinyRun unbroken(train, 0.2);
    for (int64_t step = 0; step < 3; ++step) step_on(unbroken, step);
    save_checkpoint(folder.path(), state_at(3), recipe_for(train), *unbroken.model,
                    *unbroken.optimizer, 2);

    TinyRun resumed(train, 0.2);
    const auto dir = newest_checkpoint(folder.path());
    REQUIRE(dir);
    CHECK(dir->filename() == "step-3");
    load_checkpoint(*dir, *resumed.model, *resumed.optimizer);
    check_equal(resumed.leaves(), unbroken.leaves());
    check_equal(weights_of(*resumed.model), weights_of(*unbroken.model));
    check_equal(resumed.optimizer->state(), unbroken.optimizer->state());
    for (int64_t step = 3; step < 5; ++step) {
      step_on(unbroken, step);
      step_on(resumed, step);
    }
    check_equal(resumed.leaves(), unbroken.leaves());
  }
}

TEST_CASE("where the run stood comes back, hashes of 64 bits included", "[train]") {
  const TemporaryFolder folder;
  TinyRun run;
  const auto was = state_at(12);
  save_checkpoint(folder.path(), was, recipe_for({}), *run.model, *run.optimizer, 1);
  const auto now = load_checkpoint(*newest_checkpoint(folder.path()), *run.model, *run.optimizer);
  CHECK(now.step == was.step);
  CHECK(now.position == was.position);
  CHECK(now.skipped == was.skipped);
  CHECK(now.counts.samples == was.counts.samples);
  CHECK(now.counts.dropped_over_length == was.counts.dropped_over_length);
  CHECK(now.counts.cut == was.counts.cut);
  CHECK(now.counts.dropped_zero_label == was.counts.dropped_zero_label);
  CHECK(now.counts.bad_records == was.counts.bad_records);
  CHECK(now.scaler.scale == was.scaler.scale);
  CHECK(now.scaler.good_steps == was.scaler.good_steps);
  CHECK(now.data_hashes == was.data_hashes);
  CHECK(now.base_hash == was.base_hash);
}

TEST_CASE("a checkpoint without its COMPLETE marker is never read", "[train]") {
  const TemporaryFolder folder;
  TinyRun run;
  CHECK_FALSE(newest_checkpoint(folder.path()));
  for (const int64_t step : {9, 10})
    save_checkpoint(folder.path(), state_at(step), recipe_for({}), *run.model, *run.optimizer, 9);
  CHECK(newest_checkpoint(folder.path())->filename() == "step-10");  // by number, not by name
  fs::remove(folder / "checkpoints/step-10/COMPLETE");
  CHECK(newest_checkpoint(folder.path())->filename() == "step-9");
  CHECK_THAT(
      refusal([&] { load_checkpoint(folder / "checkpoints/step-10", *run.model, *run.optimizer); }),
      EndsWith("step-10: is not a complete checkpoint (no COMPLETE marker)"));
  // names that no checkpoint has
  for (const std::string name :
       {"step-", "step-11x", "step-x", "partial-step-12", "steps-13", "step--14"}) {
    fs::copy(folder / "checkpoints/step-9", folder / ("checkpoints/" + name),
             fs::copy_options::recursive);
    CHECK(newest_checkpoint(folder.path())->filename() == "step-9");
  }
}

TEST_CASE("the last K checkpoints stay, and what a killed run left behind goes", "[train]") {
  const TemporaryFolder folder;
  TinyRun run;
  const auto save = [&](int64_t step) {
    save_checkpoint(folder.path(), state_at(step), recipe_for({}), *run.model, *run.optimizer, 2);
  };
  for (const int64_t step : {1, 2, 3}) save(step);
  CHECK(names_in(folder / "checkpoints") == std::set<std::string>{"step-2", "step-3"});
  fs::create_directories(folder / "checkpoints/partial-step-4/adapter");
  fs::remove(folder / "checkpoints/step-2/COMPLETE");  // killed while it was removed
  fs::create_directories(folder / "checkpoints/notes");
  save(10);
  CHECK(names_in(folder / "checkpoints") == std::set<std::string>{"notes", "step-3", "step-10"});
  save(10);  // again: replaced
  CHECK(names_in(folder / "checkpoints") == std::set<std::string>{"notes", "step-3", "step-10"});
  CHECK(names_in(folder / "checkpoints/step-10") ==
        std::set<std::string>{"COMPLETE", "adapter", "optimizer.safetensors", "recipe.yaml",
                              "state.json"});
}

TEST_CASE("a checkpoint of another model or rank is refused, naming the tensor", "[train]") {
  const TemporaryFolder folder;
  TinyRun run;
  save_checkpoint(folder.path(), state_at(1), recipe_for({}), *run.model, *run.optimizer, 2);
  const auto dir = *newest_checkpoint(folder.path());
  SECTION("another rank") {
    const auto model = tiny_llava();
    lora::LoraConfig lora;
    lora.rank = 4;
    lora.alpha = 8;
    lora.targets = {"q_proj", "v_proj", "o_proj", "up_proj", "down_proj"};
    lora::attach(*model, lora, {}, 0);
    Optimizer optimizer(prepare_training(*model, {}), {});
    CHECK_THAT(refusal([&] { load_checkpoint(dir, *model, optimizer); }),
               Contains("language_model.layers.0.self_attn.q_proj: rank 3"));
  }
  SECTION("more trains than before") {
    TinyRun full(mode("full", "full", "frozen"));
    CHECK_THAT(
        refusal([&] { load_checkpoint(dir, *full.model, *full.optimizer); }),
        Contains("optimizer.safetensors: lacks exp_avg/language_model.layers.0.self_attn.q_proj"));
  }
  SECTION("a truncated file") {
    fs::resize_file(dir / "optimizer.safetensors",
                    fs::file_size(dir / "optimizer.safetensors") - 10);
    CHECK_THAT(refusal([&] { load_checkpoint(dir, *run.model, *run.optimizer); }),
               Contains("optimizer.safetensors"));
  }
}

TEST_CASE("a broken state.json is refused, whatever is in it", "[train]") {
  const TemporaryFolder folder;
  TinyRun run;
  save_checkpoint(folder.path(), state_at(1), recipe_for({}), *run.model, *run.optimizer, 2);
  const auto dir = *newest_checkpoint(folder.path());
  for (const std::string text :
       {"", "{", "[]", "{}", R"({"step": "one"})", "null", R"({"step": 1, "position": {}})"}) {
    INFO(text);
    std::ofstream(dir / "state.json") << text;
    CHECK_THAT(refusal([&] { load_checkpoint(dir, *run.model, *run.optimizer); }),
               Contains("state.json: "));
  }
  fs::remove(dir / "state.json");
  CHECK_THAT(refusal([&] { load_checkpoint(dir, *run.model, *run.optimizer); }),
             Contains("state.json: "));
}

TEST_CASE("a result is an adapter, with the projector where it trains; nothing where neither does",
          "[train]") {
  const TemporaryFolder folder;
  TinyRun lora;
  CHECK(save_adapter_files(recipe_for({}), *lora.model, folder / "lora"));
  CHECK(names_in(folder / "lora") ==
        std::set<std::string>{"adapter_config.json", "adapter_model.safetensors"});
  TinyRun projector(mode("frozen", "full", "frozen"));
  CHECK(save_adapter_files(recipe_for(mode("frozen", "full", "frozen")), *projector.model,
                           folder / "projector"));
  CHECK(names_in(folder / "projector") == std::set<std::string>{"mm_projector.safetensors"});
  TinyRun full(mode("full", "frozen", "frozen"));
  CHECK_FALSE(save_adapter_files(recipe_for(mode("full", "frozen", "frozen")), *full.model,
                                 folder / "full"));
  CHECK_FALSE(fs::exists(folder / "full"));
}

}  // namespace finer
