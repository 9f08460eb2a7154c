#pragma once

#include "data/unified.h"
#include "finer/eval/config.h"
#include "finer/eval/scores.h"
#include "finer/text/conversation.h"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace finer {

/// What a round asks for.
enum class Ask { kSuperordinate, kCoarse, kAttributes, kFine };

Ask ask_from_name(const std::string& name);  // superordinate | coarse | attributes | fine
std::string ask_name(Ask ask);
Ask ask_of(Level level);
/// high_coarse | coarse | fine, or "attributes": the last part of a predictions file's name.
std::string scored_name(Ask ask);

/// One question of a conversation, its places still open.
struct Round {
  Ask ask = Ask::kFine;
  std::string wording;
  std::string keep_after;  // what follows it in the answer stands in later questions; empty: all
};

/// A conversation that is held with the model about one record, and the levels scored from it.
struct PromptPlan {
  std::vector<Round> rounds;
  std::vector<Ask> scored;     // each asked by one of the rounds
  bool needs_coarser = false;  // its questions name the model's own answer to the level above

  /// The round that asks for it, counted from 0.
  size_t round_of(Ask ask) const;
  /// What {coarser} is one level above: the last level that is scored.
  Level level() const;
};

/// The conversations that a prompt stands for: one a level, or a single one for kind `turns`
/// (levels that its rounds do not ask are left out).
std::vector<PromptPlan> plan_prompt(const EvalPromptConfig& prompt,
                                    const std::vector<std::string>& levels);

/// The words that a place stands for: the model's own answer, else the gold label (superordinate;
/// coarse: all of them, joined by " or "; where there is none the superordinate).
///
/// Wordings may hold {superordinate} {coarse} {fine} {attributes} and {coarser} (the label one
/// level above the plan's last level). Text in an answer that looks like a place or a picture's
/// mark stays text.
std::string fill_wording(std::string_view wording, const data::UnifiedRecord& gold,
                         const std::vector<std::string>& gold_attributes,
                         const std::map<Ask, std::string>& given, Level level);

/// Why a wording cannot be filled ("unknown place {colour}; ..."), or "".
std::string wording_fault(std::string_view wording);

/// An answer as it stands in a later question or turn: stripped, without picture marks and </s>,
/// what follows "Answer:" where that is said, first line, no final full stop. Empty: "unknown".
std::string answer_in_words(std::string_view answer);

/// The same of what follows the first `keep_after`, where the answer has that.
std::string kept_words(std::string_view answer, std::string_view keep_after);

/// An answer as a turn of the conversation: as it was said, without picture marks; empty:
/// "unknown".
std::string answer_as_turn(std::string_view answer);

/// The turns up to the question `questions.size() - 1`: earlier questions with their answers, then
/// the question; the picture's mark stands before the first one.
std::vector<Turn> conversation_so_far(const std::vector<std::string>& questions,
                                      const std::vector<std::string>& answers, bool has_image);

}  // namespace finer
