#pragma once

#include "finer/recipe/recipe.h"

#include <string>

namespace finer {

/// Runs a recipe from its start, or from the newest complete checkpoint, to its end.
///
/// resume   "auto", "never", or a checkpoint directory
/// returns  0 done, 130 / 143 stopped by SIGINT / SIGTERM after a checkpoint
/// Throws: what reading the model and the data throws; CheckpointError when a checkpoint does not
/// belong to the recipe.
int train(const Recipe& recipe, const std::string& resume);

/// Reads headers and every sample's tokens, prints what would train, and how much, to stdout. Fails
/// on what train would fail on.
void dry_run(const Recipe& recipe, const std::string& resume = "auto");

}  // namespace finer
