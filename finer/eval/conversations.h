#pragma once

#include "data/unified.h"
#include "finer/eval/predictions.h"
#include "finer/eval/prompts.h"
#include "finer/eval/session.h"
#include "finer/model/generator.h"

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace finer {

/// The conversations to be held about one record.
struct RecordTask {
  const data::UnifiedRecord* record = nullptr;
  std::vector<std::string> gold_attributes;
  std::filesystem::path picture;         // empty: nothing but text
  std::vector<const PromptPlan*> plans;  // coarser levels first
  std::map<Ask, std::string> given;      // own answers from before, as answer_in_words has them
};

/// One that has come to its end.
struct HeldConversation {
  const RecordTask* task = nullptr;
  const PromptPlan* plan = nullptr;
  std::vector<PredictedTurn> turns;
  std::vector<bool> is_cut;  // a turn each: ended at max_new_tokens
  const Picture* picture = nullptr;

  /// What it says to something that its plan scores.
  Prediction prediction(Ask ask) const;
};

struct ConversationOptions {
  int64_t max_new_tokens = 64;  // a turn
  int64_t batch = 32;           // conversations under way at a time
  double temperature = 0;
  double top_p = 1;
  uint64_t seed = 0;
  int64_t workers = 2;  // threads that decode pictures ahead
  std::string where;    // the records' file, for messages
};

/// Holds the conversations of all tasks: every question is filled with gold labels or the model's
/// own answers, plans of one record are asked together so that its picture is computed once, and
/// those that need another's answer wait for it.
///
/// finished     called as each conversation ends, in no fixed order
/// stop         asked between steps of decoding; true leaves what is under way
/// returns      false: stopped
/// Throws: DataError with `where` and the idx for a picture that cannot be read or a conversation
///         that is too long; what was under way is finished first.
bool hold_conversations(const Session& session, Generator& generator,
                        const std::vector<RecordTask>& tasks, const ConversationOptions& options,
                        const std::function<void(const HeldConversation&)>& finished,
                        const std::function<bool()>& stop);

}  // namespace finer
