#pragma once

#include "finer/recipe/recipe.h"
#include "finer/train/eval_hook.h"

#include <cstdint>
#include <string>

namespace finer {

/// Runs a recipe from its start, or from the newest complete checkpoint, to its end.
///
/// resume   "auto", "never", or a checkpoint directory
/// hook     what `eval:` is done with; may be null where the recipe has none
/// returns  0 done, 130 / 143 stopped by SIGINT / SIGTERM after a checkpoint
/// Throws: what reading the model and the data throws; CheckpointError when a checkpoint does not
/// belong to the recipe.
int train(const Recipe& recipe, const std::string& resume, EvalHook* hook = nullptr);

/// Reads headers and every sample's tokens, prints what would train, and how much, to stdout. Fails
/// on what train would fail on.
void dry_run(const Recipe& recipe, const std::string& resume = "auto", EvalHook* hook = nullptr);

/// Forms the group of the ranks that a launcher has started, and times its links (finer-train
/// --check-ranks). most_mb: largest sum; 0: 1000 MB, or what the machine's memory allows.
/// returns  rank 0's table; empty on the others
/// Throws: ConfigError where there is one rank only, or the group cannot be formed.
std::string check_ranks(int64_t most_mb);

}  // namespace finer
