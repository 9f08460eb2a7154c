#pragma once

#include "finer/recipe/recipe.h"
#include "finer/train/checkpoint.h"
#include "finer/train/run_facts.h"
#include "finer/train/run_setup.h"

#include <filesystem>
#include <string>
#include <vector>

namespace finer {

/// Writes RUN/report.html: curves, settings, counts, and a few training samples with the model's
/// greedy answers.
void write_report(const std::filesystem::path& run_dir, const Recipe& recipe, const RunSetup& run,
                  const RunState& state, const std::vector<TrainedPart>& parts,
                  const std::string& outcome, bool is_complete);

/// Writes what a finished run leaves: RUN/adapter with its model card, and RUN/model where the
/// language model or the vision tower trained in full.
void write_result(const std::filesystem::path& run_dir, const Recipe& recipe, const RunSetup& run,
                  const RunState& state, const std::vector<TrainedPart>& parts);

}  // namespace finer
