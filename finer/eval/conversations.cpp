#include "finer/eval/conversations.h"

#include "finer/core/error.h"
#include "finer/core/rng.h"
#include "finer/eval/picture_ahead.h"

#include <algorithm>
#include <exception>
#include <memory>
#include <unordered_map>

namespace finer {

namespace {

// One record under way: its picture stays as long as one of its conversations does.
struct RecordState {
  const RecordTask* task = nullptr;
  Picture picture;
  std::map<Ask, std::string> given;
  size_t next_plan = 0;
  bool is_chain = false;  // a plan needs an earlier one's answer
};

struct Conversation {
  std::shared_ptr<RecordState> record;
  const PromptPlan* plan = nullptr;
  std::map<Ask, std::string> given;
  std::vector<std::string> questions, answers;
  std::vector<bool> is_cut;
};

class Holder {
 public:
  Holder(const Session& session, Generator& generator, const ConversationOptions& options,
         const std::function<void(const HeldConversation&)>& finished)
      : session_(session), generator_(generator), options_(options), finished_(finished) {}

  int64_t under_way() const { return static_cast<int64_t>(by_ticket_.size()); }

  void start(const RecordTask& task, Picture picture) {
    auto record = std::make_shared<RecordState>();
    record->task = &task;
    record->picture = std::move(picture);
    record->given = task.given;
    record->is_chain = std::any_of(task.plans.begin(), task.plans.end(),
                                   [](const PromptPlan* plan) { return plan->needs_coarser; });
    start_plans(record);
  }

  void take(const GeneratedAnswer& answer) {
    const auto at = by_ticket_.find(answer.ticket);
    FINER_CHECK(at != by_ticket_.end(), "an answer to a question of ours");
    Conversation c = std::move(at->second);
    by_ticket_.erase(at);
    c.answers.push_back(session_.text(answer.ids));
    c.is_cut.push_back(!answer.is_stopped);
    const Round& round = c.plan->rounds[c.answers.size() - 1];
    c.given[round.ask] = kept_words(c.answers.back(), round.keep_after);
    if (c.answers.size() < c.plan->rounds.size()) {
      ask(std::move(c));
      return;
    }
    finish(c);
  }

 private:
  void start_plans(const std::shared_ptr<RecordState>& record) {
    const auto& plans = record->task->plans;
    while (record->next_plan < plans.size()) {
      Conversation c;
      c.record = record;
      c.plan = plans[record->next_plan++];
      if (c.plan->needs_coarser) c.given = record->given;
      ask(std::move(c));
      if (record->is_chain) return;
    }
  }

  const Picture* picture(const Conversation& c) const {
    return c.record->task->picture.empty() ? nullptr : &c.record->picture;
  }

  void ask(Conversation c) {
    const auto& task = *c.record->task;
    const Level level = c.plan->level();
    const size_t round = c.answers.size();
    c.questions.push_back(fill_wording(c.plan->rounds[round].wording, *task.record,
                                       task.gold_attributes, c.given, level));
    try {
      const auto turns = conversation_so_far(c.questions, c.answers, picture(c) != nullptr);
      auto prompt = session_.prompt(turns, picture(c), options_.max_new_tokens);
      prompt.temperature = options_.temperature;
      prompt.top_p = options_.top_p;
      prompt.seed = mix_seed(mix_seed(options_.seed, static_cast<uint64_t>(task.record->idx)),
                             static_cast<uint64_t>(level) * 64 + round);
      const int64_t ticket = generator_.submit(std::move(prompt));
      by_ticket_.emplace(ticket, std::move(c));
    } catch (const DataError& error) {
      throw DataError(options_.where + ": idx " + std::to_string(task.record->idx) + ": " +
                      error.what());
    }
  }

  void finish(const Conversation& c) {
    HeldConversation held;
    held.task = c.record->task;
    held.plan = c.plan;
    held.picture = picture(c);
    for (size_t i = 0; i < c.answers.size(); ++i) {
      held.turns.push_back({ask_name(c.plan->rounds[i].ask), c.questions[i], c.answers[i]});
    }
    held.is_cut = c.is_cut;
    finished_(held);
    for (const Ask ask : c.plan->scored) c.record->given[ask] = c.given.at(ask);
    if (c.record->is_chain) start_plans(c.record);
  }

  const Session& session_;
  Generator& generator_;
  const ConversationOptions& options_;
  const std::function<void(const HeldConversation&)>& finished_;
  std::unordered_map<int64_t, Conversation> by_ticket_;
};

}  // namespace

Prediction HeldConversation::prediction(Ask ask) const {
  const size_t round = plan->round_of(ask);
  Prediction p;
  p.idx = task->record->idx;
  p.turns.assign(turns.begin(), turns.begin() + static_cast<int64_t>(round) + 1);
  p.text = p.turns.back().answer;
  p.question = p.turns.back().question;
  p.is_cut = is_cut[round];
  return p;
}

bool hold_conversations(const Session& session, Generator& generator,
                        const std::vector<RecordTask>& tasks, const ConversationOptions& options,
                        const std::function<void(const HeldConversation&)>& finished,
                        const std::function<bool()>& stop) {
  std::vector<std::filesystem::path> pictures;
  for (const auto& task : tasks) pictures.push_back(task.picture);
  PictureAhead ahead(
      pictures, [&](const std::filesystem::path& file) { return session.picture(file); },
      options.workers, std::max<int64_t>(4, 2 * options.workers));
  Holder holder(session, generator, options, finished);
  std::exception_ptr fault;
  size_t next = 0;
  while (true) {
    while (!fault && next < tasks.size() && holder.under_way() < options.batch && !stop()) {
      const auto& task = tasks[next++];
      try {
        holder.start(task, ahead.next());
      } catch (const DataError& error) {
        const std::string what = error.what();
        const bool says_where = what.rfind(options.where + ": ", 0) == 0;
        fault = says_where ? std::current_exception()
                           : std::make_exception_ptr(DataError(options.where + ": idx " +
                                                               std::to_string(task.record->idx) +
                                                               ": picture " + what));
      }
    }
    if (stop()) return false;
    if (holder.under_way() == 0) break;
    for (const auto& answer : generator.next()) {
      try {
        holder.take(answer);
      } catch (const DataError&) {
        if (!fault) fault = std::current_exception();
      }
    }
  }
  if (fault) std::rethrow_exception(fault);
  return true;
}

}  // namespace finer
