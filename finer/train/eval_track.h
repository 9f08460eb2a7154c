#pragma once

#include "finer/train/eval_hook.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace finer {

/// Measures a run every `eval.every_steps` steps and at its end, and keeps what was best.
///
///   RUN/eval.jsonl  a line an evaluation: step, the metrics, seconds
///   RUN/best/       adapter/ (or model/ of full tuning) of the best step, best.json: step, metric,
///                   value
/// eval.jsonl is also the memory of a resumed run: lines behind its checkpoint are removed, and
/// what is left says what was best and how long ago.
class EvalTrack {
 public:
  /// Without `eval:` in the recipe nothing is done by any member.
  /// last_step  of the checkpoint, 0 where the run begins
  /// writes     false on ranks but the first: they measure their share (all get the same values, so
  ///            all agree on when to stop) and write nothing
  EvalTrack(const Recipe& recipe, EvalHook* hook, const RunSetup& run, int64_t last_step,
            bool writes, EvalShare share = {});

  /// After an optimizer step. Throws: RecipeError where eval.best_by names no metric.
  void after_step(int64_t step, bool is_last);
  /// fsync of eval.jsonl: before a checkpoint is complete.
  void sync() const;
  /// Whether eval.patience is at its end: the run is over.
  bool is_over() const;

 private:
  void take(int64_t step, double value);
  void keep_best(int64_t step);

  const Recipe& recipe_;
  EvalHook* hook_;
  const RunSetup& run_;
  bool writes_;
  EvalShare share_;
  std::filesystem::path file_;
  std::string metric_;  // eval.best_by, resolved
  std::optional<double> best_;
  int64_t best_step_ = 0;
  int64_t last_measured_ = 0;
  int64_t since_best_ = 0;  // evaluations
};

/// Whether a run that stands at `step` was ended by eval.patience, by its eval.jsonl.
bool was_stopped_early(const Recipe& recipe, int64_t step);

}  // namespace finer
