#pragma once

#include "data/loader.h"
#include "finer/model/llava.h"
#include "finer/recipe/recipe.h"
#include "finer/train/loss_scaler.h"
#include "finer/train/optim.h"

#include <filesystem>
#include <optional>
#include <string>

namespace finer {

/// Where a run stands after a step.
struct RunState {
  int64_t step = 0;      // optimizer steps taken
  int64_t position = 0;  // sampler position of the next sample
  int64_t skipped = 0;   // non-finite steps so far
  data::LoaderCounts counts;
  LossScalerState scaler;             // float16 alone uses it
  std::vector<uint64_t> data_hashes;  // a set each
  uint64_t base_hash = 0;             // of the base model's files (finer/model/save.h)
};

/// Writes RUN/checkpoints/step-N: adapter, optimizer and loop state, the recipe; COMPLETE last;
/// renamed into place whole. Then removes the oldest, so that `keep` stay.
void save_checkpoint(const std::filesystem::path& run_dir, const RunState& state,
                     const Recipe& recipe, Llava& model, const Optimizer& optimizer, int64_t keep);

/// The newest complete checkpoint of a run directory.
std::optional<std::filesystem::path> newest_checkpoint(const std::filesystem::path& run_dir);

/// Where the run stood that made a checkpoint. Throws: CheckpointError for one without COMPLETE, or
/// a broken file.
RunState read_run_state(const std::filesystem::path& dir);

/// Fills model and optimizer from a checkpoint; returns where the run stood. Throws:
/// CheckpointError.
RunState load_checkpoint(const std::filesystem::path& dir, Llava& model, Optimizer& optimizer);

/// Writes adapter and trained projector to `dir` (lora/peft_io.h). Returns false where neither
/// trains.
bool save_adapter_files(const Recipe& recipe, Llava& model, const std::filesystem::path& dir);

/// The model that a run's adapter fits, as adapter_config.json names it: the base's directory (or
/// "from_scratch"), or RUN/model where the base itself trained.
std::string adapter_base(const Recipe& recipe);

}  // namespace finer
