#pragma once

#include "data/loader.h"
#include "finer/recipe/recipe.h"
#include "finer/train/checkpoint.h"

#include <filesystem>
#include <optional>
#include <string>

namespace finer {

/// How long a run is.
struct Plan {
  int64_t epoch_size = 0;     // samples
  int64_t total_steps = 0;    // optimizer steps
  int64_t last_position = 0;  // sampler position behind the run's last sample
};

/// As transformers counts: steps an epoch round up, a run of E epochs takes ceil(E * steps an
/// epoch); optim.steps caps it. Throws: DataError when no set holds a sample.
Plan make_plan(const Recipe& recipe, int64_t epoch_size);

/// The checkpoint a run goes on from. resume: "auto" (the newest complete one of the run directory,
/// if any), "never", or a checkpoint directory. Throws: CheckpointError where it is not complete,
/// or was made by another recipe (keys that change nothing in the result may differ), naming the
/// line.
std::optional<std::filesystem::path> choose_checkpoint(const Recipe& recipe,
                                                       const std::string& resume);

/// Whether the checkpoint is the run's last and its results are written.
bool is_finished(const Recipe& recipe, const std::filesystem::path& checkpoint);

/// Where the run stands at its start. Throws: CheckpointError where the data or the base model's
/// files are not those of the checkpoint.
RunState starting_state(const Recipe& recipe, const data::SampleSource& source,
                        const std::optional<std::filesystem::path>& checkpoint);

/// Refuses an output that cannot be written before anything long is done. Throws: RecipeError.
void check_output(const std::filesystem::path& run_dir);

/// Throws: CheckpointError where a checkpoint's position is not the one that its step has in this
/// plan.
void check_position(const Plan& plan, const Recipe& recipe, const RunState& state,
                    const std::optional<std::filesystem::path>& checkpoint);

/// A run that goes on from an older checkpoint keeps the later ones under another name.
void set_later_checkpoints_aside(const std::filesystem::path& run_dir, int64_t step);

/// Renames an earlier run directory to RUN.before-N.
void move_aside(const std::filesystem::path& run_dir);

}  // namespace finer
