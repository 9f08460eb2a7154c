#pragma once

#include "finer/eval/bootstrap.h"
#include "finer/eval/scores.h"

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

namespace finer {

/// {"mean", "low", "high"}, as results.json has every interval.
nlohmann::json interval_json(const Interval& interval);

/// One scored prediction.
struct ScoredPrediction {
  int64_t idx = 0;       // of the record
  int64_t class_id = 0;  // the concept (EvalClasses::of_record), the unit that is drawn
  Score score;
};

/// One row: a model on a set at a level.
struct ResultRow {
  std::string model;      // "direct"
  std::string set;        // "cub-200-2011", "held-out"
  std::string condition;  // how it was asked: "attr_seek, gold coarser label"; may be empty
  Level level = Level::kFine;
  int64_t count = 0;        // predictions
  int64_t num_classes = 0;  // concepts among them
  Interval em, strict_em, f1;
};

/// What the first model scores above the second one, on the samples that both answered.
struct DifferenceRow {
  std::string model, other_model;
  std::string set, condition;
  Level level = Level::kFine;
  int64_t count = 0;
  Interval em, strict_em, f1;
};

enum class DrawBy { kSample, kClass };

/// Fills count, num_classes and the intervals; the names are the caller's.
ResultRow result_row(const std::vector<ScoredPrediction>& predictions, DrawBy draw_by,
                     const BootstrapOptions& options = {});

/// Pairs by idx; those that only one has are left out. Throws: std::logic_error when an idx appears
/// twice in one list.
DifferenceRow difference_row(const std::vector<ScoredPrediction>& model,
                             const std::vector<ScoredPrediction>& other_model, DrawBy draw_by,
                             const BootstrapOptions& options = {});

/// For a terminal: percent, "72.9 [65.1, 80.2]"; columns that are empty throughout are left out.
std::string result_table_text(const std::vector<ResultRow>& rows,
                              const std::vector<DifferenceRow>& differences = {});

/// {"rows": [{"model", "set", "condition", "level", "count", "classes", "em": {"mean", "low",
/// "high"}, "strict_em", "f1"}], "differences": [{"model", "other_model", ...}]}; shares 0..1.
nlohmann::json result_table_json(const std::vector<ResultRow>& rows,
                                 const std::vector<DifferenceRow>& differences = {});

}  // namespace finer
