#include "finer/eval/train_eval.h"

#include "finer/core/error.h"
#include "finer/eval/conversations.h"
#include "finer/eval/eval_recipe.h"
#include "finer/eval/eval_set.h"
#include "finer/eval/logits.h"
#include "finer/eval/prompts.h"
#include "finer/eval/scores.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <optional>

namespace finer {

namespace {

class TrainEval : public EvalHook {
 public:
  void open(const Recipe& recipe, const RunSetup& run) override {
    recipe_ = &recipe;
    run_ = &run;
    const auto& e = recipe.eval;
    if (!e.loss_data.empty()) open_loss();
    if (e.records.empty()) return;
    prompts_ = e.prompts;
    if (prompts_.empty()) prompts_ = {EvalPromptConfig{.name = "direct"}};
    for (const auto& fault : prompt_faults(prompts_, e.levels)) {
      throw RecipeError("eval.prompts[" + std::to_string(fault.prompt) + "]" + fault.key + ": " +
                        fault.what);
    }
    std::vector<Level> levels;
    for (const auto& name : e.levels) levels.push_back(parse_level(name));
    set_ = open_eval_set(
        {.name = "eval", .records = e.records, .images = e.images, .attributes = e.attributes},
        {.limit = e.limit, .seed = e.seed}, levels);
    const std::shared_ptr<const Tokenizer> tokenizer(std::shared_ptr<void>(), run.tokenizer.get());
    session_.emplace(*run.model, recipe.model, tokenizer, recipe.data.conversation,
                     recipe.data.image_aspect);
  }

  std::vector<std::pair<std::string, double>> measure(const EvalShare& share) override {
    const at::NoGradGuard no_gradients;
    std::vector<std::pair<std::string, double>> out;
    if (source_) out.emplace_back("loss", loss(share));
    if (session_) {
      for (const auto& prompt : prompts_) score(prompt, share, out);
    }
    return out;
  }

 private:
  void open_loss() {
    const auto& e = recipe_->eval;
    data_ = recipe_->data;
    data_.sets = {{.path = e.loss_data, .images = e.loss_images}};
    data_.on_bad_record = "stop";
    source_ = std::make_unique<data::SampleSource>(
        data_, *run_->tokenizer, input_spec(recipe_->model, run_->model->config()));
    places_ = choose_subset(static_cast<size_t>(source_->sizes()[0]), e.limit, e.seed);
  }

  // Mean over target tokens, as finer-eval loss has it.
  double loss(const EvalShare& share) {
    double sum = 0;
    int64_t count = 0, tokens = 0;
    std::vector<data::ReadySample> samples;
    const auto flush = [&] {
      if (samples.empty()) return;
      const auto packed = data::pack(std::move(samples));
      samples.clear();
      tokens = 0;
      if (packed.num_label_tokens == 0) return;
      sum += loss_sum(*run_->model, packed, recipe_->loss.chunk_tokens);
      count += packed.num_label_tokens;
    };
    for (size_t i = 0; i < places_.size(); ++i) {
      if (!share.is_own(i)) continue;
      auto prepared = source_->prepare({0, static_cast<int64_t>(places_[i])});
      if (prepared.outcome != data::SampleSource::Outcome::kReady) continue;
      const auto length = static_cast<int64_t>(prepared.sample.input_ids.size());
      if (tokens + length > recipe_->batch.device_tokens) flush();
      tokens += length;
      samples.push_back(std::move(prepared.sample));
    }
    flush();
    const auto sums = share.summed({sum, static_cast<double>(count)});
    if (sums[1] == 0) throw DataError(recipe_->eval.loss_data + ": no target token in any sample");
    return sums[0] / sums[1];
  }

  void score(const EvalPromptConfig& prompt, const EvalShare& share,
             std::vector<std::pair<std::string, double>>& out) {
    const auto& e = recipe_->eval;
    const auto plans = plan_prompt(prompt, e.levels);
    std::vector<RecordTask> tasks;
    for (size_t i = 0; i < set_->chosen.size(); ++i) {
      if (!share.is_own(i)) continue;
      const size_t place = set_->chosen[i];
      RecordTask task;
      task.record = &set_->records[place];
      task.gold_attributes = set_->attributes_of(*task.record);
      task.picture = set_->picture_of(*task.record);
      for (const auto& plan : plans) task.plans.push_back(&plan);
      tasks.push_back(std::move(task));
    }
    const ConversationOptions options{
        .max_new_tokens = prompt.max_new_tokens > 0 ? prompt.max_new_tokens : e.max_new_tokens,
        .batch = e.batch,
        .workers = recipe_->data.workers,
        .where = e.records};
    // A generator of its own each time: what one keeps belongs to the weights it was made with.
    Generator generator(*run_->model, GeneratorOptions{.max_sequences = e.batch});
    std::map<Level, std::map<int64_t, Score>> scores;  // by idx: sums do not depend on the order
    hold_conversations(
        *session_, generator, tasks, options,
        [&](const HeldConversation& held) {
          for (const Level level : kLevels) {
            const auto& scored = held.plan->scored;
            if (std::find(scored.begin(), scored.end(), ask_of(level)) == scored.end()) continue;
            scores[level][held.task->record->idx] = score_answer(
                held.prediction(ask_of(level)).text, gold_labels(*held.task->record, level));
          }
        },
        [] { return false; });
    for (const Level level : kLevels) {
      const auto asks = [&](const PromptPlan& plan) {
        return std::find(plan.scored.begin(), plan.scored.end(), ask_of(level)) !=
               plan.scored.end();
      };
      if (std::none_of(plans.begin(), plans.end(), asks)) continue;
      double em = 0, f1 = 0;
      for (const auto& [idx, one] : scores[level]) {
        em += one.em;
        f1 += one.f1;
      }
      const auto sums = share.summed({em, f1, static_cast<double>(scores[level].size())});
      if (sums[2] == 0) continue;
      const std::string name =
          (prompts_.size() > 1 ? prompt.name + "." : std::string()) + level_name(level);
      out.emplace_back("em." + name, sums[0] / sums[2]);
      out.emplace_back("f1." + name, sums[1] / sums[2]);
    }
  }

  const Recipe* recipe_ = nullptr;
  const RunSetup* run_ = nullptr;
  data::DataConfig data_;
  std::unique_ptr<data::SampleSource> source_;
  std::vector<size_t> places_;  // of the conversations whose loss is taken
  std::vector<EvalPromptConfig> prompts_;
  std::optional<EvalSet> set_;
  std::optional<Session> session_;
};

}  // namespace

std::unique_ptr<EvalHook> make_train_eval() { return std::make_unique<TrainEval>(); }

}  // namespace finer
