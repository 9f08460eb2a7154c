#include "finer/eval/inquiry.h"

#include "finer/core/log.h"
#include "finer/core/rng.h"
#include "finer/eval/answer_source.h"
#include "finer/eval/closed_set.h"
#include "finer/eval/conversations.h"
#include "finer/eval/eval_results.h"
#include "finer/eval/predictions.h"
#include "finer/train/readable.h"

#include <algorithm>
#include <chrono>

namespace finer {

namespace {

using Clock = std::chrono::steady_clock;

constexpr double kProgressSeconds = 10;
constexpr size_t kRankedNames = 5;

std::map<std::string, std::string> inquiry_settings(const EvalRecipe& recipe, const EvalSet& set,
                                                    const Inquiry& inquiry,
                                                    const PromptPlan& plan) {
  std::map<std::string, std::string> out;
  bool names_attributes = false;
  for (size_t i = 0; i < plan.rounds.size(); ++i) {
    const auto& round = plan.rounds[i];
    out["turns[" + std::to_string(i) + "]"] =
        ask_name(round.ask) + ": " + round.wording +
        (round.keep_after.empty() ? "" : " / behind " + round.keep_after);
    names_attributes |= round.wording.find("{attributes}") != std::string::npos;
  }
  out["coarser"] = plan.needs_coarser ? "predicted" : "gold";
  out["max_new_tokens"] = std::to_string(inquiry.max_new_tokens);
  out["records"] = hash_text(set.records_hash);
  if (names_attributes && set.attributes_hash != 0)
    out["attributes"] = hash_text(set.attributes_hash);
  const auto& g = recipe.generate;
  if (g.temperature > 0) {
    out["sampling"] = "temperature " + readable_number(g.temperature, 6) + ", top_p " +
                      readable_number(g.top_p, 6) + ", seed " + std::to_string(g.seed);
  }
  if (inquiry.ranks_names) out["closed_set"] = "true";
  return out;
}

class Asking {
 public:
  Asking(const EvalRecipe& recipe, OpenModel& model, const EvalSet& set, const Inquiry& inquiry)
      : recipe_(recipe), model_(model), set_(set), inquiry_(inquiry) {
    for (const auto& plan : inquiry.plans) {
      auto settings = inquiry_settings(recipe, set, inquiry, plan);
      settings.insert(model.settings().begin(), model.settings().end());
      for (const Ask ask : plan.scored) {
        files_.emplace(ask, std::make_unique<PredictionsFile>(
                                predictions_path(recipe, model.name(), set.name, inquiry.name, ask),
                                settings));
      }
    }
  }

  bool run(const std::function<bool()>& stop) {
    const auto tasks = missing();
    if (tasks.empty()) return true;
    for (const auto& task : tasks) wanted_ += static_cast<int64_t>(task.plans.size());
    start_ = told_ = Clock::now();
    if (inquiry_.ranks_names) {
      for (const Level level : kLevels) {
        if (files_.count(ask_of(level)) > 0)
          closed_sets_.emplace(ask_of(level), ClosedSet(set_, level, model_.session()));
      }
    }
    const auto& g = recipe_.generate;
    const ConversationOptions options{.max_new_tokens = inquiry_.max_new_tokens,
                                      .batch = g.batch,
                                      .temperature = g.temperature,
                                      .top_p = g.top_p,
                                      .seed = g.seed,
                                      .workers = recipe_.workers,
                                      .where = set_.file.string()};
    const bool is_done = hold_conversations(
        model_.session(), model_.generator(), tasks, options,
        [&](const HeldConversation& held) { keep(held); }, stop);
    for (auto& [ask, file] : files_) file->sync();
    tell();
    return is_done;
  }

 private:
  void keep(const HeldConversation& held) {
    for (const Ask ask : held.plan->scored) {
      auto& file = *files_.at(ask);
      // A run that was killed between the lines of two levels has the first one already.
      if (file.has(held.task->record->idx)) continue;
      auto prediction = held.prediction(ask);
      if (const auto names = closed_sets_.find(ask); names != closed_sets_.end()) {
        prediction.ranked =
            names->second.rank(model_.session(), model_.generator(), held, kRankedNames);
      }
      file.append(prediction);
    }
    ++done_;
    if (std::chrono::duration<double>(Clock::now() - told_).count() > kProgressSeconds) {
      tell();
      told_ = Clock::now();
    }
  }

  void tell() const {
    const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    log::info(model_.name() + ", " + set_.name + ", " + inquiry_.name + ": " +
              readable_count(done_) + " of " + readable_count(wanted_) + " conversations, " +
              readable_number(static_cast<double>(done_) / seconds, 3) + " a second");
  }

  std::vector<RecordTask> missing() const {
    std::vector<RecordTask> tasks;
    for (const size_t place : inquiry_.places) {
      const auto& record = set_.records[place];
      RecordTask task;
      task.record = &record;
      for (const auto& plan : inquiry_.plans) {
        const bool is_there = std::all_of(plan.scored.begin(), plan.scored.end(),
                                          [&](Ask ask) { return files_.at(ask)->has(record.idx); });
        if (!is_there) {
          task.plans.push_back(&plan);
          continue;
        }
        for (const Ask ask : plan.scored)
          task.given[ask] = answer_in_words(files_.at(ask)->all().at(record.idx).text);
      }
      if (task.plans.empty()) continue;
      task.gold_attributes = set_.attributes_of(record);
      if (inquiry_.with_pictures) task.picture = set_.picture_of(record);
      tasks.push_back(std::move(task));
    }
    return tasks;
  }

  const EvalRecipe& recipe_;
  OpenModel& model_;
  const EvalSet& set_;
  const Inquiry& inquiry_;
  std::map<Ask, std::unique_ptr<PredictionsFile>> files_;
  std::map<Ask, ClosedSet> closed_sets_;
  int64_t wanted_ = 0, done_ = 0;
  Clock::time_point start_, told_;
};

}  // namespace

Inquiry prompt_inquiry(const EvalRecipe& recipe, const EvalSet& set,
                       const EvalPromptConfig& prompt) {
  return {.name = prompt.name,
          .plans = plan_prompt(prompt, recipe.levels),
          .places = set.chosen,
          .max_new_tokens =
              prompt.max_new_tokens > 0 ? prompt.max_new_tokens : recipe.generate.max_new_tokens,
          .ranks_names = recipe.scoring.closed_set};
}

OpenModel::OpenModel(const EvalModelConfig& config, const EvalRecipe& recipe)
    : config_(config), recipe_(recipe), settings_(model_settings(config, recipe)) {}

const Session& OpenModel::session() {
  if (!session_) {
    log::info("opening " + config_.name);
    session_ = std::make_unique<Session>(session_config(config_, recipe_));
  }
  return *session_;
}

Generator& OpenModel::generator() {
  if (!generator_) {
    const auto& g = recipe_.generate;
    generator_ = std::make_unique<Generator>(
        session().model(), GeneratorOptions{.max_sequences = g.batch,
                                            .cache_tokens = g.cache_tokens,
                                            .reuses_prefixes = g.reuses_prefixes});
  }
  return *generator_;
}

bool answer_missing(const EvalRecipe& recipe, OpenModel& model, const EvalSet& set,
                    const Inquiry& inquiry, const std::function<bool()>& stop) {
  return Asking(recipe, model, set, inquiry).run(stop);
}

}  // namespace finer
