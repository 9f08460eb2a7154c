#pragma once

#include "finer/recipe/recipe.h"
#include "finer/train/run_setup.h"

#include <string>
#include <utility>
#include <vector>

namespace finer {

/// What a run is measured with while it trains. The trainer knows no more of evaluation than this;
/// finer/eval/train_eval.h is the one that finer-train uses.
class EvalHook {
 public:
  virtual ~EvalHook() = default;
  /// Opens what `eval:` of the recipe names. The run outlives the hook's use; on a dry run its
  /// model has no memory. Throws: RecipeError, DataError.
  virtual void open(const Recipe& recipe, const RunSetup& run) = 0;
  /// Measures the model as it is now: names to values, in an order that never changes. Changes
  /// nothing that training depends on.
  virtual std::vector<std::pair<std::string, double>> measure() = 0;
};

}  // namespace finer
