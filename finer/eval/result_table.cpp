#include "finer/eval/result_table.h"

#include "finer/core/error.h"
#include "finer/eval/text_table.h"
#include "finer/train/readable.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <functional>
#include <unordered_map>
#include <unordered_set>

namespace finer {
namespace {

using OneScore = double Score::*;

std::vector<double> one_score(const std::vector<const ScoredPrediction*>& predictions,
                              OneScore which) {
  std::vector<double> values;
  values.reserve(predictions.size());
  for (const auto* prediction : predictions) values.push_back(prediction->score.*which);
  return values;
}

std::vector<int64_t> drawn_clusters(const std::vector<const ScoredPrediction*>& predictions,
                                    DrawBy draw_by) {
  std::vector<int64_t> clusters;
  if (draw_by == DrawBy::kSample) return clusters;
  clusters.reserve(predictions.size());
  for (const auto* prediction : predictions) clusters.push_back(prediction->class_id);
  return clusters;
}

std::string percent_interval(const Interval& share, bool has_sign) {
  const auto percent = [&](double x) {
    const std::string text = readable_fixed(100 * x, 1);
    return has_sign && x > 0 ? "+" + text : text;
  };
  return percent(share.mean) + " [" + percent(share.low) + ", " + percent(share.high) + "]";
}

using TextRow = std::vector<std::string>;

// The first `num_names` columns to the left, the others to the right.
std::string aligned(const std::vector<TextRow>& rows, size_t num_names) {
  std::vector<bool> is_number(rows.front().size(), true);
  std::fill_n(is_number.begin(), num_names, false);
  return text_table(rows, is_number);
}

}  // namespace

nlohmann::json interval_json(const Interval& interval) {
  return {{"mean", interval.mean}, {"low", interval.low}, {"high", interval.high}};
}

ResultRow result_row(const std::vector<ScoredPrediction>& predictions, DrawBy draw_by,
                     const BootstrapOptions& options) {
  std::vector<const ScoredPrediction*> all;
  std::unordered_set<int64_t> classes;
  for (const auto& prediction : predictions) {
    all.push_back(&prediction);
    classes.insert(prediction.class_id);
  }
  const auto clusters = drawn_clusters(all, draw_by);
  const auto interval = [&](OneScore which) {
    return bootstrap_mean(one_score(all, which), clusters, options);
  };
  ResultRow row;
  row.count = static_cast<int64_t>(predictions.size());
  row.num_classes = static_cast<int64_t>(classes.size());
  row.em = interval(&Score::em);
  row.strict_em = interval(&Score::strict_em);
  row.f1 = interval(&Score::f1);
  return row;
}

DifferenceRow difference_row(const std::vector<ScoredPrediction>& model,
                             const std::vector<ScoredPrediction>& other_model, DrawBy draw_by,
                             const BootstrapOptions& options) {
  std::unordered_map<int64_t, const ScoredPrediction*> others;
  for (const auto& prediction : other_model) {
    FINER_CHECK(others.emplace(prediction.idx, &prediction).second, "each idx once");
  }
  std::vector<const ScoredPrediction*> here, there;
  std::unordered_set<int64_t> seen;
  for (const auto& prediction : model) {
    FINER_CHECK(seen.insert(prediction.idx).second, "each idx once");
    const auto other = others.find(prediction.idx);
    if (other == others.end()) continue;
    here.push_back(&prediction);
    there.push_back(other->second);
  }
  const auto clusters = drawn_clusters(here, draw_by);
  const auto interval = [&](OneScore which) {
    return bootstrap_difference(one_score(here, which), one_score(there, which), clusters, options);
  };
  DifferenceRow row;
  row.count = static_cast<int64_t>(here.size());
  row.em = interval(&Score::em);
  row.strict_em = interval(&Score::strict_em);
  row.f1 = interval(&Score::f1);
  return row;
}

std::string result_table_text(const std::vector<ResultRow>& rows,
                              const std::vector<DifferenceRow>& differences) {
  std::string out;
  if (!rows.empty()) {
    std::vector<TextRow> lines = {
        {"model", "set", "asked", "level", "n", "EM %", "strict EM %", "F1 %"}};
    for (const auto& row : rows) {
      lines.push_back({row.model, row.set, row.condition, level_name(row.level),
                       readable_count(row.count), percent_interval(row.em, false),
                       percent_interval(row.strict_em, false), percent_interval(row.f1, false)});
    }
    out += aligned(lines, 4);
  }
  if (!differences.empty()) {
    std::vector<TextRow> lines = {
        {"difference", "set", "asked", "level", "n", "EM points", "strict EM points", "F1 points"}};
    for (const auto& row : differences) {
      lines.push_back({row.model + " - " + row.other_model, row.set, row.condition,
                       level_name(row.level), readable_count(row.count),
                       percent_interval(row.em, true), percent_interval(row.strict_em, true),
                       percent_interval(row.f1, true)});
    }
    if (!out.empty()) out += "\n";
    out += aligned(lines, 4);
  }
  return out;
}

nlohmann::json result_table_json(const std::vector<ResultRow>& rows,
                                 const std::vector<DifferenceRow>& differences) {
  nlohmann::json table = {{"rows", nlohmann::json::array()},
                          {"differences", nlohmann::json::array()}};
  const auto scores = [](auto& json, const auto& row) {
    json["set"] = row.set;
    json["condition"] = row.condition;
    json["level"] = level_name(row.level);
    json["count"] = row.count;
    json["em"] = interval_json(row.em);
    json["strict_em"] = interval_json(row.strict_em);
    json["f1"] = interval_json(row.f1);
  };
  for (const auto& row : rows) {
    nlohmann::json json = {{"model", row.model}, {"classes", row.num_classes}};
    scores(json, row);
    table["rows"].push_back(std::move(json));
  }
  for (const auto& row : differences) {
    nlohmann::json json = {{"model", row.model}, {"other_model", row.other_model}};
    scores(json, row);
    table["differences"].push_back(std::move(json));
  }
  return table;
}

}  // namespace finer
