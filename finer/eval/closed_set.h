#pragma once

#include "finer/eval/conversations.h"
#include "finer/eval/eval_set.h"

#include <cstdint>
#include <string>
#include <vector>

namespace finer {

/// All names that a set's records have at a level, as answers to choose from.
class ClosedSet {
 public:
  /// Throws: DataError for a name that the tokenizer does not keep apart from the prompt.
  ClosedSet(const EvalSet& set, Level level, const Session& session);

  /// The names by their log-likelihood as the answer (its end included) to the conversation's
  /// question at the level, best first, at most `most`; of a class with several names the best one.
  std::vector<std::string> rank(const Session& session, Generator& generator,
                                const HeldConversation& held, size_t most) const;

 private:
  struct Name {
    std::string text;
    int64_t class_id = 0;
  };
  Level level_;
  std::vector<Name> names_;
  std::vector<std::vector<int64_t>> ids_;  // a name each
};

/// Whether one of the first `most` names is a gold label (normalised).
bool ranks_gold(const std::vector<std::string>& ranked, size_t most,
                const std::vector<std::string>& gold);

}  // namespace finer
