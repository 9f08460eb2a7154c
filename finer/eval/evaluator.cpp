#include "finer/eval/evaluator.h"

#include "finer/core/atomic_file.h"
#include "finer/core/error.h"
#include "finer/core/log.h"
#include "finer/eval/answer_source.h"
#include "finer/eval/conversations.h"
#include "finer/eval/eval_recipe.h"
#include "finer/eval/eval_results.h"
#include "finer/eval/eval_set.h"
#include "finer/eval/predictions.h"
#include "finer/eval/prompts.h"
#include "finer/eval/session.h"
#include "finer/train/readable.h"
#include "finer/train/resume.h"
#include "finer/train/stop_signal.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <memory>
#include <optional>

namespace finer {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr double kProgressSeconds = 10;

// Loaded when the first question needs it.
class OpenModel {
 public:
  OpenModel(const EvalModelConfig& config, const EvalRecipe& recipe)
      : config_(config), recipe_(recipe) {}

  const Session& session() {
    if (!session_) {
      log::info("opening " + config_.name);
      session_ = std::make_unique<Session>(session_config(config_, recipe_));
      const auto& g = recipe_.generate;
      generator_ = std::make_unique<Generator>(
          session_->model(), GeneratorOptions{.max_sequences = g.batch,
                                              .cache_tokens = g.cache_tokens,
                                              .reuses_prefixes = g.reuses_prefixes});
    }
    return *session_;
  }
  Generator& generator() {
    session();
    return *generator_;
  }

 private:
  const EvalModelConfig& config_;
  const EvalRecipe& recipe_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<Generator> generator_;
};

std::map<std::string, std::string> prompt_settings(const EvalRecipe& recipe, const EvalSet& set,
                                                   const PromptPlan& plan, int64_t max_new_tokens) {
  std::map<std::string, std::string> out;
  bool names_attributes = false;
  for (size_t i = 0; i < plan.rounds.size(); ++i) {
    const auto& round = plan.rounds[i];
    out["turns[" + std::to_string(i) + "]"] = ask_name(round.ask) + ": " + round.wording;
    names_attributes |= round.wording.find("{attributes}") != std::string::npos;
  }
  out["coarser"] = plan.needs_coarser ? "predicted" : "gold";
  out["max_new_tokens"] = std::to_string(max_new_tokens);
  out["records"] = hex_text(set.records_hash);
  if (names_attributes && set.attributes_hash != 0)
    out["attributes"] = hex_text(set.attributes_hash);
  const auto& g = recipe.generate;
  if (g.temperature > 0) {
    out["sampling"] = "temperature " + readable_number(g.temperature, 6) + ", top_p " +
                      readable_number(g.top_p, 6) + ", seed " + std::to_string(g.seed);
  }
  if (recipe.scoring.closed_set) out["closed_set"] = "true";
  return out;
}

// One model, one set, one prompt: the missing answers.
class Asking {
 public:
  Asking(const EvalRecipe& recipe, const EvalModelConfig& model, const EvalSet& set,
         const EvalPromptConfig& prompt, const std::map<std::string, std::string>& model_facts)
      : recipe_(recipe), set_(set), plans_(plan_prompt(prompt, recipe.levels)) {
    name_ = model.name + "--" + set.name + "--" + prompt.name;
    max_new_tokens_ =
        prompt.max_new_tokens > 0 ? prompt.max_new_tokens : recipe.generate.max_new_tokens;
    for (const auto& plan : plans_) {
      auto settings = prompt_settings(recipe, set, plan, max_new_tokens_);
      settings.insert(model_facts.begin(), model_facts.end());
      for (const Level level : plan.scored) {
        files_.emplace(
            level,
            std::make_unique<PredictionsFile>(
                predictions_path(recipe, model.name, set.name, prompt.name, level), settings));
      }
    }
  }

  /// false: stopped.
  bool run(OpenModel& model, const std::function<bool()>& stop) {
    const auto tasks = missing();
    if (tasks.empty()) return true;
    int64_t wanted = 0, done = 0;
    for (const auto& task : tasks) wanted += static_cast<int64_t>(task.plans.size());
    const auto& session = model.session();
    auto& generator = model.generator();
    const auto start = Clock::now();
    auto told = start;
    const auto tell = [&] {
      const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
      log::info(name_ + ": " + readable_count(done) + " of " + readable_count(wanted) +
                " conversations, " + readable_number(static_cast<double>(done) / seconds, 3) +
                " a second");
    };
    const auto finished = [&](const HeldConversation& held) {
      for (const Level level : held.plan->scored) {
        auto& file = *files_.at(level);
        // A run that was killed between the lines of two levels has the first one already.
        if (!file.has(held.task->record->idx)) file.append(held.prediction(level));
      }
      ++done;
      if (std::chrono::duration<double>(Clock::now() - told).count() > kProgressSeconds) {
        tell();
        told = Clock::now();
      }
    };
    const auto& g = recipe_.generate;
    const ConversationOptions options{.max_new_tokens = max_new_tokens_,
                                      .batch = g.batch,
                                      .temperature = g.temperature,
                                      .top_p = g.top_p,
                                      .seed = g.seed,
                                      .workers = recipe_.workers,
                                      .where = set_.file.string()};
    const bool is_done = hold_conversations(session, generator, tasks, options, finished, stop);
    for (auto& [level, file] : files_) file->sync();
    tell();
    return is_done;
  }

 private:
  std::vector<RecordTask> missing() const {
    std::vector<RecordTask> tasks;
    for (const size_t place : set_.chosen) {
      const auto& record = set_.records[place];
      RecordTask task;
      task.record = &record;
      for (const auto& plan : plans_) {
        const bool is_there = std::all_of(plan.scored.begin(), plan.scored.end(), [&](Level level) {
          return files_.at(level)->has(record.idx);
        });
        if (!is_there) {
          task.plans.push_back(&plan);
          continue;
        }
        for (const Level level : plan.scored) {
          task.given[ask_of(level)] = answer_in_words(files_.at(level)->all().at(record.idx).text);
        }
      }
      if (task.plans.empty()) continue;
      task.gold_attributes = set_.attributes_of(record);
      task.picture = set_.picture_of(record);
      tasks.push_back(std::move(task));
    }
    return tasks;
  }

  const EvalRecipe& recipe_;
  const EvalSet& set_;
  std::vector<PromptPlan> plans_;
  std::map<Level, std::unique_ptr<PredictionsFile>> files_;
  std::string name_;
  int64_t max_new_tokens_ = 0;
};

bool is_asked(const EvalModelConfig& model, const EvalPromptConfig& prompt) {
  return model.prompts.empty() ||
         std::find(model.prompts.begin(), model.prompts.end(), prompt.name) != model.prompts.end();
}

}  // namespace

int evaluate(const EvalRecipe& recipe) {
  const at::NoGradGuard no_gradients;
  check_output(recipe.output);
  if (recipe.threads > 0) at::set_num_threads(static_cast<int>(recipe.threads));
  StopSignal signal(false);
  const auto stop = [&] { return signal.requested() != 0; };
  std::vector<Level> levels;
  for (const auto& name : recipe.levels) levels.push_back(parse_level(name));
  std::vector<EvalSet> sets;
  for (const auto& config : recipe.sets)
    sets.push_back(open_eval_set(config, recipe.subset, levels));
  // Whatever is not there is noticed before the first long step.
  std::vector<std::map<std::string, std::string>> facts;
  for (const auto& model : recipe.models) facts.push_back(model_settings(model, recipe));

  fs::create_directories(recipe.output);
  atomic_write(fs::path(recipe.output) / "recipe.yaml", eval_recipe_to_yaml(recipe));
  const auto stopped = [&] {
    log::info("stopped; all answers so far are in " + recipe.output +
              "/predictions, and the same command goes on from them");
    return 128 + signal.requested();
  };
  for (size_t m = 0; m < recipe.models.size(); ++m) {
    OpenModel model(recipe.models[m], recipe);
    for (const auto& set : sets) {
      for (const auto& prompt : recipe.prompts) {
        if (!is_asked(recipe.models[m], prompt)) continue;
        Asking asking(recipe, recipe.models[m], set, prompt, facts[m]);
        if (!asking.run(model, stop) || stop()) return stopped();
      }
    }
  }
  const auto results = collect_results(recipe, sets);
  write_results(recipe, sets, results);
  std::cout << results_text(results) << std::flush;
  return 0;
}

}  // namespace finer
