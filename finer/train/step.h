#pragma once

#include "data/loader.h"
#include "finer/dist/grad_reducer.h"
#include "finer/dist/watch.h"
#include "finer/model/llava.h"
#include "finer/train/config.h"
#include "finer/train/loss_scaler.h"
#include "finer/train/optim.h"

namespace finer {

struct StepResult {
  double loss = 0;       // sum of weighted token losses over the step's divisor
  double grad_norm = 0;  // before clipping
  bool skipped = false;  // loss or gradients were not finite: no update was made
};

/// The other ranks, seen from a step.
struct StepRanks {
  dist::ProcessGroup& group;
  dist::GradReducer& reducer;
  dist::Watch& watch;
};

/// One optimizer step: forward and backward of every device pass, clipping, update.
///
/// With ranks, the batch's passes are this rank's and its sums those of all (train/ranks.h):
/// gradients and loss become sums over ranks, and every rank makes the same update.
/// factor  of the schedule; seed  of the run, from which dropout masks are drawn by step and pass;
/// scaler  of float16 training, else null.
StepResult train_step(Llava& model, Optimizer& optimizer, const data::StepBatch& batch,
                      const LossConfig& loss, double factor, uint64_t seed,
                      LossScaler* scaler = nullptr, const StepRanks* ranks = nullptr);

}  // namespace finer
