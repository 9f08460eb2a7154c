#pragma once

#include "finer/train/eval_hook.h"

#include <memory>

namespace finer {

/// Held-out loss and scores of a model that trains, by the code that finer-eval uses.
///
/// Metrics, in this order: "loss" (eval.loss_data); "em.LEVEL" and "f1.LEVEL" a level
/// (eval.records), with several prompts "em.PROMPT.LEVEL". The same records every time, shared by
/// the ranks.
std::unique_ptr<EvalHook> make_train_eval();

}  // namespace finer
