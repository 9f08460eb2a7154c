#include "finer/eval/closed_set.h"

#include "finer/core/error.h"
#include "finer/core/quote.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <unordered_map>

namespace finer {

ClosedSet::ClosedSet(const EvalSet& set, Level level, const Session& session) : level_(level) {
  std::unordered_map<std::string, int64_t> seen;  // by normalised name
  for (const auto& record : set.records) {
    const int64_t class_id = set.classes.of_record(record.idx);
    const auto labels = level == Level::kFine     ? record.fine
                        : level == Level::kCoarse ? record.coarse
                                                  : std::vector<std::string>{record.superordinate};
    for (const auto& label : labels) {
      const auto number = static_cast<int64_t>(seen.size());
      if (!seen.emplace(normalise_answer(label), number).second) continue;
      names_.push_back({label, level == Level::kFine ? class_id : number});
    }
  }
  // A name's ids do not depend on the question: they begin where every prompt ends.
  const std::vector<Turn> question = {{"human", "What is it?"}};
  const auto before = tokenize_prompt(session.tokenizer(), session.conversation(), question, false);
  for (const auto& name : names_) {
    const std::vector<Turn> turns = {question[0], {"gpt", answer_as_turn(name.text)}};
    const auto all =
        tokenize_conversation(session.tokenizer(), session.conversation(), turns, false).input_ids;
    if (all.size() <= before.size() || !std::equal(before.begin(), before.end(), all.begin())) {
      throw DataError(set.file.string() + ": scoring.closed_set: the tokenizer joins the name " +
                      quote(name.text, 60) + " to the text before it");
    }
    ids_.emplace_back(all.begin() + static_cast<int64_t>(before.size()), all.end());
  }
}

std::vector<std::string> ClosedSet::rank(const Session& session, Generator& generator,
                                         const HeldConversation& held, size_t most) const {
  std::vector<std::string> questions, answers;
  for (size_t i = 0; i <= held.plan->round_of(ask_of(level_)); ++i) {
    questions.push_back(held.turns[i].question);
    if (i > 0) answers.push_back(held.turns[i - 1].answer);
  }
  const auto turns = conversation_so_far(questions, answers, held.picture != nullptr);
  const auto values = generator.log_likelihoods(session.prompt(turns, held.picture, 1), ids_);
  std::vector<size_t> order(names_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return values[a] > values[b]; });
  std::vector<std::string> ranked;
  std::set<int64_t> classes;
  for (const size_t i : order) {
    if (ranked.size() == most) break;
    if (classes.insert(names_[i].class_id).second) ranked.push_back(names_[i].text);
  }
  return ranked;
}

bool ranks_gold(const std::vector<std::string>& ranked, size_t most,
                const std::vector<std::string>& gold) {
  for (size_t i = 0; i < std::min(most, ranked.size()); ++i) {
    const auto name = normalise_answer(ranked[i]);
    for (const auto& label : gold) {
      if (normalise_answer(label) == name) return true;
    }
  }
  return false;
}

}  // namespace finer
