#pragma once

#include "finer/eval/config.h"

namespace finer {

/// Asks every model every question of a recipe, scores the answers and writes
///   OUT/recipe.yaml                                  resolved
///   OUT/predictions/MODEL--SET--PROMPT--LEVEL.jsonl  appended as answers come (predictions.h)
///   OUT/results.json, OUT/table.txt, OUT/report.html
///   OUT/classes/MODEL--SET--PROMPT--LEVEL.csv        scores and confusions a class
///   OUT/probes/...                                   what the probes found
/// and prints the table to stdout. On several ranks each answers a share of the records
/// (rank_shares.h), and rank 0 does the rest. A run that was stopped or killed goes on where it
/// was; models whose answers are all there are not loaded again.
///
/// returns  0 done, 130 / 143 stopped by SIGINT / SIGTERM with all answers so far kept
/// Throws: what reading recipe, records, models and pictures throws.
int evaluate(const EvalRecipe& recipe);

}  // namespace finer
