#pragma once

#include "finer/recipe/recipe.h"
#include "finer/train/run_setup.h"

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace finer {

/// What one of several ranks measures, and how its sums become those of all.
struct EvalShare {
  int rank = 0, size = 1;
  /// Adds every rank's values; called by all ranks in the same order, with equally many. Empty: one
  /// rank.
  std::function<std::vector<double>(const std::vector<double>&)> sum;

  bool is_own(size_t place) const {
    return place % static_cast<size_t>(size) == static_cast<size_t>(rank);
  }
  std::vector<double> summed(const std::vector<double>& own) const { return sum ? sum(own) : own; }
};

/// What a run is measured with while it trains. The trainer knows no more of evaluation than this;
/// finer/eval/train_eval.h is the one that finer-train uses.
class EvalHook {
 public:
  virtual ~EvalHook() = default;
  /// Opens what `eval:` of the recipe names. The run outlives the hook's use; on a dry run its
  /// model has no memory. Throws: RecipeError, DataError.
  virtual void open(const Recipe& recipe, const RunSetup& run) = 0;
  /// Measures the model as it is now: names to values, in an order that never changes. Changes
  /// nothing that training depends on. Several ranks share the records; all return the same.
  virtual std::vector<std::pair<std::string, double>> measure(const EvalShare& share) = 0;
};

}  // namespace finer
