#include "finer/train/trainer.h"

#include "finer/core/error.h"
#include "finer/model/save.h"
#include "finer/train/metrics.h"
#include "finer/train/run_lock.h"
#include "lora/peft_io.h"
#include "tests/data/small_world.h"
#include "tests/model/tiny_llava.h"

#include <catch2/catch.hpp>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <limits>
#include <sstream>
#include <thread>

namespace finer {

namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

std::string bytes_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string refusal(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "(nothing)";
}

// Ten samples with pictures of one colour, and a recipe that a model of a few thousand parameters
// is trained by.
class SmallRun {
 public:
  SmallRun() {
    const auto tokenizer = data::small_tokenizer();
    scratch_.write("set.jsonl", data::many_records(scratch_, "s", 10));
    const auto vocab = std::to_string(tokenizer.vocab_size());
    scratch_.write(
        "recipe.yaml",
        R"(model:
  tokenizer: )" +
            golden_path("text/llama.model") + R"(
  from_scratch:
    language: {vocab_size: )" +
            vocab + R"(, width: 16, mlp_width: 24, num_layers: 2, num_heads: 2, max_positions: 256}
    vision: {width: 8, mlp_width: 12, num_layers: 2, num_heads: 2, image_side_px: 8, patch_side_px: 4}
train: {language: lora, projector: full}
lora: {rank: 2, alpha: 4, dropout: 0.1}
data:
  sets: [{path: )" +
            (root() / "set.jsonl").string() + R"(}]
  max_tokens: 200
  workers: 1
batch: {samples: 4, device_tokens: 200}
optim: {lr: 1.0e-2, warmup_ratio: 0, epochs: 2}
checkpoint: {every_steps: 2, keep: 10}
log: {tensorboard: false}
device: cpu
threads: 1
seed: 5
output: unused
)");
  }

  fs::path root() const { return scratch_.root(); }
  void write(const std::string& name, const std::string& text) const { scratch_.write(name, text); }
  Recipe recipe(const std::string& output, std::vector<std::string> overrides = {}) const {
    overrides.push_back("output=" + (root() / output).string());
    return load_recipe(root() / "recipe.yaml", overrides);
  }
  std::string train_fails(const std::string& output, const std::vector<std::string>& overrides = {},
                          const std::string& resume = "auto") const {
    return refusal([&] { train(recipe(output, overrides), resume); });
  }

 private:
  data::Scratch scratch_;
};

}  // namespace

TEST_CASE("a run takes its steps and leaves what it promises", "[train]") {
  const SmallRun run;
  CHECK(train(run.recipe("a"), "auto") == 0);
  const auto dir = run.root() / "a";
  const auto metrics = read_metrics(dir / "metrics.jsonl");
  REQUIRE(metrics.size() == 6);  // 10 samples: 4, 4, 2; twice
  int64_t samples = 0;
  for (const auto& m : metrics) {
    CHECK(std::isfinite(m.loss));
    CHECK(m.grad_norm > 0);
    samples += m.samples;
  }
  CHECK(samples == 20);
  CHECK(metrics[2].samples == 2);
  CHECK(metrics.back().epoch == Approx(2));
  CHECK(metrics.back().loss < metrics.front().loss);
  for (const std::string file :
       {"recipe.yaml", "report.html", "logs/rank-0.log", "adapter/adapter_model.safetensors",
        "adapter/adapter_config.json", "checkpoints/step-6/COMPLETE"}) {
    INFO(file);
    CHECK(fs::exists(dir / file));
  }
  // the written recipe repeats the run
  CHECK(recipe_to_yaml(load_recipe(dir / "recipe.yaml", {})) == recipe_to_yaml(run.recipe("a")));
}

TEST_CASE("the same recipe gives the same bytes, and other loader threads no others", "[train]") {
  const SmallRun run;
  train(run.recipe("a"), "auto");
  train(run.recipe("b", {"data.workers=2", "checkpoint.every_steps=0"}), "auto");
  train(run.recipe("c", {"seed=6"}), "auto");
  const auto adapter = [&](const std::string& name) {
    return bytes_of(run.root() / name / "adapter/adapter_model.safetensors");
  };
  CHECK(adapter("a") == adapter("b"));
  CHECK(adapter("a") != adapter("c"));
}

TEST_CASE("a profiled step leaves its tables and changes no byte of the result", "[train]") {
  const SmallRun run;
  train(run.recipe("a"), "auto");
  train(run.recipe("b", {"log.profile_step=2"}), "auto");
  CHECK(bytes_of(run.root() / "a/adapter/adapter_model.safetensors") ==
        bytes_of(run.root() / "b/adapter/adapter_model.safetensors"));
  CHECK_FALSE(fs::exists(run.root() / "a/profile"));
  CHECK_THAT(bytes_of(run.root() / "b/profile/step-2.txt"), Contains("aten::mm"));
  CHECK(fs::exists(run.root() / "b/profile/step-2.json"));
  CHECK(run.train_fails("b", {"log.profile_step=7"}, "never") ==
        "log.profile_step: found 7, which never comes; expected at most 6, the run's last step");
  CHECK(fs::exists(run.root() / "b/FINISHED"));  // it was not moved aside
}

TEST_CASE("a resumed run ends in the bytes of an unbroken one, from every checkpoint", "[train]") {
  const SmallRun run;
  train(run.recipe("a"), "auto");
  const auto unbroken = read_metrics(run.root() / "a/metrics.jsonl");
  for (const std::string step : {"2", "4"}) {
    INFO("from step " << step);
    const auto dir = run.root() / ("from-" + step);
    fs::create_directories(dir / "checkpoints");
    fs::copy(run.root() / ("a/checkpoints/step-" + step), dir / ("checkpoints/step-" + step),
             fs::copy_options::recursive);
    fs::copy(run.root() / "a/metrics.jsonl",
             dir / "metrics.jsonl");  // lines behind the checkpoint too
    CHECK(train(run.recipe("from-" + step), "auto") == 0);
    CHECK(bytes_of(dir / "adapter/adapter_model.safetensors") ==
          bytes_of(run.root() / "a/adapter/adapter_model.safetensors"));
    CHECK(bytes_of(dir / "checkpoints/step-6/optimizer.safetensors") ==
          bytes_of(run.root() / "a/checkpoints/step-6/optimizer.safetensors"));
    const auto resumed = read_metrics(dir / "metrics.jsonl");
    REQUIRE(resumed.size() == unbroken.size());
    for (size_t i = 0; i < resumed.size(); ++i) {
      CHECK(resumed[i].loss == unbroken[i].loss);
      CHECK(resumed[i].lr == unbroken[i].lr);
      CHECK(resumed[i].tokens == unbroken[i].tokens);
    }
  }
}

TEST_CASE("a run that is done does not start over", "[train]") {
  const SmallRun run;
  train(run.recipe("a"), "auto");
  const auto before = bytes_of(run.root() / "a/adapter/adapter_model.safetensors");
  CHECK(train(run.recipe("a"), "auto") == 0);
  CHECK(bytes_of(run.root() / "a/adapter/adapter_model.safetensors") == before);
  CHECK(read_metrics(run.root() / "a/metrics.jsonl").size() == 6);
}

TEST_CASE("resume never moves the earlier run aside", "[train]") {
  const SmallRun run;
  train(run.recipe("a", {"optim.steps=2"}), "auto");
  train(run.recipe("a", {"optim.steps=1"}), "never");
  train(run.recipe("a", {"optim.steps=1", "seed=9"}), "never");
  CHECK(read_metrics(run.root() / "a/metrics.jsonl").size() == 1);
  CHECK(read_metrics(run.root() / "a.before-1/metrics.jsonl").size() == 2);
  CHECK(read_metrics(run.root() / "a.before-2/metrics.jsonl").size() == 1);
}

TEST_CASE("resume refuses another recipe, saying what differs", "[train]") {
  const SmallRun run;
  train(run.recipe("a", {"optim.steps=2"}), "auto");
  CHECK_THAT(run.train_fails("a", {"optim.steps=2", "optim.lr=0.02"}),
             Contains("step-2: was made by another recipe: it has \"optim:") &&
                 Contains("lr: 0.01") && Contains("lr: 0.02") &&
                 Contains("use that recipe, another output, or --resume never"));
  CHECK_THAT(run.train_fails("a", {"optim.steps=2", "seed=6"}), Contains("another recipe"));
  CHECK_THAT(run.train_fails("a", {"optim.steps=2", "lora.rank=4"}), Contains("another recipe"));
  // what only says how, and not what, may change
  CHECK(run.train_fails("a", {"optim.steps=2", "data.workers=3", "checkpoint.keep=1",
                              "log.every_steps=7"}) == "(nothing)");
}

TEST_CASE("a checkpoint from before a key existed goes on as with its default", "[train]") {
  const SmallRun run;
  train(run.recipe("a", {"optim.steps=2"}), "auto");
  const std::string file = "a/checkpoints/step-2/recipe.yaml";
  auto text = bytes_of(run.root() / file);
  const auto begin = text.find("  picture_group: 1\n");
  REQUIRE(begin != std::string::npos);
  text.erase(begin, std::string("  picture_group: 1\n").size());
  run.write(file, text);
  CHECK(run.train_fails("a", {"optim.steps=2"}) == "(nothing)");
  CHECK_THAT(
      run.train_fails("a", {"optim.steps=2", "data.picture_group=2"}),
      Contains("it has \"data:   picture_group: 1\", this one \"data:   picture_group: 2\""));
  run.write(file, text + "unheard_of: 1\n");  // of a later version
  CHECK_THAT(run.train_fails("a", {"optim.steps=2"}), Contains("another recipe"));
}

TEST_CASE("a folder that another process writes into is refused, naming it", "[train]") {
  RunLock::patience_s = 0.3;
  const SmallRun run;
  train(run.recipe("a", {"optim.steps=2"}), "auto");
  CHECK(bytes_of(run.root() / "a/.lock").empty());  // there, and let go
  const auto metrics = bytes_of(run.root() / "a/metrics.jsonl");
  const auto is_refused = [&](const std::string& resume) {
    const auto message = run.train_fails("a", {"optim.steps=4"}, resume);
    CHECK_THAT(message, Contains("/a is being written by finer-train (process " +
                                 std::to_string(getpid()) + " on "));
    CHECK_THAT(message, Contains("); wait for it or stop it, or give another output"));
  };
  {
    RunLock other;
    other.take(run.root() / "a");
    is_refused("auto");
    is_refused("never");
    CHECK(bytes_of(run.root() / "a/metrics.jsonl") == metrics);
    CHECK_FALSE(fs::exists(run.root() / "a.before-1"));
  }
  CHECK(run.train_fails("a", {}, "never") == "(nothing)");  // let go with its holder
  CHECK(bytes_of(run.root() / "a.before-1/.lock").empty());
  CHECK(bytes_of(run.root() / "a/.lock").empty());
  {
    RunLock other;  // that has just begun, and has no more than the lock
    CHECK_FALSE(RunLock::is_known(run.root() / "b"));
    other.take(run.root() / "b");
    CHECK(RunLock::is_known(run.root() / "b"));
    CHECK_THAT(run.train_fails("b", {}, "never"), Contains("/b is being written by"));
  }
  RunLock::patience_s = 5;
  RunLock first, second;
  first.take(run.root() / "a");
  std::thread renames([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    fs::rename(run.root() / "a", run.root() / "c");
  });
  second.take(run.root() / "a");  // of the new folder, not of the one that was there at first
  renames.join();
  CHECK(bytes_of(run.root() / "a/.lock").size() > 10);
  RunLock::patience_s = 30;
}

TEST_CASE("resume refuses data that has changed, naming the file", "[train]") {
  const SmallRun run;
  train(run.recipe("a", {"optim.steps=2"}), "auto");
  const auto set = run.root() / "set.jsonl";
  auto text = bytes_of(set);
  text.replace(text.find("warbler"), 7, "sparrow");
  run.write("set.jsonl", text);
  CHECK_THAT(run.train_fails("a", {"optim.steps=2"}),
             Contains("step-2: was made with other data: " + set.string() + " has changed since"));
}

TEST_CASE("resume from a named checkpoint wants a complete one", "[train]") {
  const SmallRun run;
  train(run.recipe("a"), "auto");
  const auto checkpoint = run.root() / "a/checkpoints/step-4";
  CHECK(train(run.recipe("b"), checkpoint.string()) == 0);
  CHECK(bytes_of(run.root() / "b/adapter/adapter_model.safetensors") ==
        bytes_of(run.root() / "a/adapter/adapter_model.safetensors"));
  fs::remove(checkpoint / "COMPLETE");
  CHECK_THAT(run.train_fails("c", {}, checkpoint.string()),
             Contains("step-4: is not a complete checkpoint (no COMPLETE marker)"));
  CHECK_THAT(run.train_fails("c", {}, (run.root() / "nowhere").string()),
             Contains("nowhere: is not a complete checkpoint"));
}

TEST_CASE("lora.init_from starts at an adapter, and refuses one that does not fit", "[train]") {
  const SmallRun run;
  train(run.recipe("a", {"optim.steps=2"}), "auto");
  const auto adapter = (run.root() / "a/adapter").string();
  // a rate too small to move anything by more than a rounding
  train(run.recipe("b", {"optim.steps=1", "optim.lr=1e-9", "lora.init_from=" + adapter}), "auto");
  const auto was = read_tensors(adapter + "/adapter_model.safetensors"),
             is = read_tensors((run.root() / "b/adapter/adapter_model.safetensors").string());
  REQUIRE(was.size() == is.size());
  for (const auto& [name, value] : was) CHECK(difference(is.at(name), value) < 1e-5);
  CHECK_THAT(
      run.train_fails("c", {"lora.rank=3", "lora.init_from=" + adapter}),
      Contains("language_model.layers.0.self_attn.q_proj: rank 2") && Contains("ask for rank 3"));
}

TEST_CASE("steps without a finite loss end the run after max_bad_steps of them", "[train]") {
  const SmallRun run;
  auto model = run.recipe("unused").model;
  const auto base = run.root() / "base";
  {
    const auto llava = load_llava(model, at::kCPU, 0);
    llava->visit_weights([](const std::string& name, const at::Tensor& slot) {
      if (name == "language_model.norm.weight") slot.fill_(std::numeric_limits<float>::quiet_NaN());
    });
    save_model(*llava, model, base);
  }
  auto recipe = run.recipe("a", {"train.max_bad_steps=3"});
  recipe.model = {};
  recipe.model.llava = base.string();
  recipe.model.tokenizer = model.tokenizer;
  CHECK_THAT(refusal([&] { train(recipe, "auto"); }),
             Contains("step 3: 3 steps in a row had a loss or gradient that is not finite") &&
                 Contains("optim.lr"));
  const auto metrics = read_metrics(run.root() / "a/metrics.jsonl");
  CHECK(metrics.size() == 3);
  CHECK(metrics.back().skipped);
}

TEST_CASE("a memory that is full in an evaluation is said, and what was learned is kept",
          "[train]") {
  struct Full : EvalHook {
    void open(const Recipe&, const RunSetup&) override {}
    std::vector<std::pair<std::string, double>> measure(const EvalShare&) override {
      TORCH_CHECK_WITH(OutOfMemoryError, false, "CUDA out of memory. Tried to allocate 2.00 MiB");
    }
  };
  const SmallRun run;
  Full hook;
  const auto recipe = run.recipe("a", {"eval.loss_data=" + (run.root() / "set.jsonl").string(),
                                       "eval.every_steps=3", "checkpoint.every_steps=0"});
  CHECK_THAT(refusal([&] { train(recipe, "auto", &hook); }),
             Contains("memory is full in the evaluation after step 3") && Contains("eval.batch"));
  CHECK(fs::exists(run.root() / "a/checkpoints/step-3/COMPLETE"));
}

TEST_CASE("a broken sample stops the run and leaves what was learned before it", "[train]") {
  const SmallRun run;
  fs::remove(run.root() / "pictures/4.bmp");
  CHECK_THAT(run.train_fails("a", {"data.shuffle=false", "batch.samples=2"}),
             Contains("pictures/4.bmp"));
  CHECK(fs::exists(run.root() / "a/checkpoints/step-2/COMPLETE"));  // samples 0 to 3
  CHECK(run.train_fails("b", {"data.shuffle=false", "batch.samples=2",
                              "data.on_bad_record=skip"}) == "(nothing)");
}

TEST_CASE("a dry run prints what would train and writes nothing", "[train]") {
  const SmallRun run;
  std::ostringstream out;
  auto* const before = std::cout.rdbuf(out.rdbuf());
  const auto fault = refusal([&] { dry_run(run.recipe("a")); });
  std::cout.rdbuf(before);
  CHECK(fault == "(nothing)");
  CHECK_THAT(out.str(), Contains("language") && Contains("lora") &&
                            Contains("6 steps of 4 samples, 10 samples an epoch"));
  CHECK_FALSE(fs::exists(run.root() / "a"));
}

}  // namespace finer
