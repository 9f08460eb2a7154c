#pragma once

#include "finer/eval/config.h"
#include "finer/eval/eval_set.h"
#include "finer/eval/predictions.h"
#include "finer/eval/prompts.h"
#include "finer/eval/report_parts.h"
#include "finer/eval/result_table.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace finer {

/// OUT/predictions/MODEL--SET--PROMPT--LEVEL.jsonl
std::filesystem::path predictions_path(const EvalRecipe& recipe, const std::string& model,
                                       const std::string& set, const std::string& prompt, Ask ask);

/// The answers of a file, by idx. Throws: DataError.
std::map<int64_t, Prediction> read_predictions(const std::filesystem::path& file);

/// The scored answers of one model to one prompt about one set at one level.
struct ScoredCell {
  std::string model, set, prompt;
  Level level = Level::kFine;
  std::vector<ScoredPrediction> scored;
  std::vector<double> top1, top5;  // closed-set scoring: whether the names ranked hold the gold
};

struct EvalResults {
  std::vector<ScoredCell> cells;
  std::vector<ResultRow> rows;  // a cell each
  std::vector<DifferenceRow> differences;
  std::vector<ReportSection> sections;              // of closed sets and probes
  nlohmann::json extra = nlohmann::json::object();  // their part of results.json
};

/// Reads all predictions of the recipe and scores those of the chosen records.
EvalResults collect_results(const EvalRecipe& recipe, const std::vector<EvalSet>& sets);

/// results.json, table.txt, classes/*.csv, report.html.
void write_results(const EvalRecipe& recipe, const std::vector<EvalSet>& sets,
                   const EvalResults& results);

std::string results_text(const EvalResults& results);

}  // namespace finer
