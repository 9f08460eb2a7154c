#pragma once

#include "data/unified.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace finer {

/// What a question asks for: the superordinate, the coarse or the fine label of a record.
enum class Level { kHighCoarse, kCoarse, kFine };

constexpr Level kLevels[] = {Level::kHighCoarse, Level::kCoarse, Level::kFine};

/// high_coarse | coarse | fine, as recipes, files and commands have it.
const char* level_name(Level level);
/// Throws: ConfigError for any other name.
Level parse_level(const std::string& name);

/// One answer against its gold labels, each 0..1: the best over the labels, each on its own.
struct Score {
  double em = 0;         // the gold label is somewhere in the first 20 words, or equals the answer
  double strict_em = 0;  // the answer is the gold label and nothing else
  double f1 = 0;         // over words, the gold label cut to its first 10
};

/// What follows the first "Answer:" (all of the text where there is none), stripped, without
/// "</s>".
std::string answer_part(std::string_view text);

/// Lower case, without ASCII punctuation and without the words a, an, the; single blanks. Text is
/// UTF-8, and lower case, blanks and word bounds are Python's (finer/eval/unicode.h).
std::string normalise_answer(std::string_view text);

/// The labels that count as right at a level: fine: the fine ones; coarse: coarse and fine;
/// high_coarse: all three.
std::vector<std::string> gold_labels(const data::UnifiedRecord& record, Level level);

/// True when the record has a label of that level itself (a coarse list may be empty).
bool has_level(const data::UnifiedRecord& record, Level level);

/// text    what a model wrote, unchanged
/// labels  at least one
///
/// Source: https://arxiv.org/abs/2402.16315, the authors' scoring; equal to it to the last bit.
Score score_answer(std::string_view text, const std::vector<std::string>& labels);

/// The mean of each; zeros for none.
Score mean_score(const std::vector<Score>& scores);

}  // namespace finer
