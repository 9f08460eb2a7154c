#pragma once

#include "finer/eval/config.h"
#include "finer/train/ranks.h"

namespace finer {

/// Asks what is not answered yet on several ranks, each a share of the records, and puts the
/// answers into OUT/predictions in order of idx, where one process then finds them all.
///
/// While it runs a rank's answers are in OUT/parts/rank-N/predictions. What an earlier run left
/// there, of any number of ranks, is put in first. Of probes that are no questions only the
/// features are made, each model's by one rank; the rest is left to the caller.
///
/// returns  0, or 130 / 143: any rank was told to stop, and all have stopped with what they have
/// Throws: as evaluate().
int answer_on_ranks(const EvalRecipe& recipe, Ranks& ranks);

/// Puts answers that ranks have left in OUT/parts into OUT/predictions, in order of idx. Throws:
/// DataError as PredictionsFile, and where another process still writes them.
void merge_parts(const EvalRecipe& recipe);

}  // namespace finer
