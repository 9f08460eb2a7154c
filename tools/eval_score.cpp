#include "tools/eval_score.h"

#include "data/json_text.h"
#include "data/unified.h"
#include "finer/core/atomic_file.h"
#include "finer/core/error.h"
#include "finer/core/quote.h"
#include "finer/eval/class_table.h"
#include "finer/eval/result_table.h"
#include "finer/eval/scores.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <unordered_map>
#include <unordered_set>

namespace finer::cli {
namespace {

struct GivenPrediction {
  int64_t idx = 0;
  std::string text;
};

GivenPrediction parse_given(const std::string& line) {
  GivenPrediction prediction;
  bool has_idx = false, has_text = false;
  data::JsonCursor json(line);
  json.object([&](std::string_view key) {
    if (key == "idx") {
      has_idx = true;
      prediction.idx = json.integer();
    } else if (key == "text") {
      has_text = true;
      json.string(prediction.text);
    } else {
      json.skip();
    }
  });
  json.end();
  if (!has_idx) throw DataError("has no \"idx\"; expected the record's");
  if (!has_text) throw DataError("has no \"text\"; expected the model's answer");
  return prediction;
}

void note(const std::string& text) { std::cerr << "finer-eval score: " << text << "\n"; }

// Calls visit(prediction, where) for each line.
template <class Visit>
void for_each_prediction(const std::filesystem::path& file, const Visit& visit) {
  std::ifstream in(file, std::ios::binary);
  if (!std::filesystem::is_regular_file(file) || !in) {
    throw DataError(quote(file.string()) +
                    ": cannot be read; expected a file of predictions, a line each: {\"idx\": 0, "
                    "\"text\": \"Answer: ...\"}");
  }
  std::string line;
  for (int64_t number = 1; std::getline(in, line); ++number) {
    const std::string where = quote(file.string()) + ":" + std::to_string(number) + ": ";
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    GivenPrediction prediction;
    try {
      prediction = parse_given(line);
    } catch (const DataError& error) {
      // Without a line end, it is what a killed program was writing.
      if (!in.eof()) throw DataError(where + error.what());
      note(where + "the last line was cut short and is left out");
      return;
    }
    visit(prediction, where);
  }
  if (in.bad()) throw DataError(quote(file.string()) + ": cannot be read to its end");
}

nlohmann::ordered_json bounds(const Interval& interval) { return {interval.low, interval.high}; }

}  // namespace

void score_files(const ScoreFiles& files) {
  const Level level = parse_level(files.level);
  const auto records = data::read_unified(files.records);
  const std::string records_name = quote(files.records.string());
  if (records.empty()) throw DataError(records_name + ": holds no record");
  if (std::none_of(records.begin(), records.end(),
                   [&](const auto& record) { return has_level(record, level); })) {
    throw DataError(records_name + ": no record has a " + level_name(level) +
                    " label; ask for --level fine, or make the records with their coarse labels");
  }
  std::unordered_map<int64_t, const data::UnifiedRecord*> by_idx;
  int64_t first_idx = records.front().idx, last_idx = first_idx;
  for (const auto& record : records) {
    by_idx[record.idx] = &record;
    first_idx = std::min(first_idx, record.idx);
    last_idx = std::max(last_idx, record.idx);
  }
  const EvalClasses classes(records);

  std::vector<ScoredPrediction> scored;
  std::unordered_set<int64_t> seen;
  int64_t num_without_level = 0;
  std::string lines;
  for_each_prediction(files.predictions, [&](const GivenPrediction& prediction,
                                             const std::string& where) {
    const auto found = by_idx.find(prediction.idx);
    if (found == by_idx.end()) {
      throw DataError(where + "idx " + std::to_string(prediction.idx) + " is no record of " +
                      records_name + ", which has " + std::to_string(records.size()) +
                      " with idx " + std::to_string(first_idx) + " to " + std::to_string(last_idx) +
                      "; are these the predictions for another set?");
    }
    if (!has_level(*found->second, level)) ++num_without_level;
    const Score score = score_answer(prediction.text, gold_labels(*found->second, level));
    seen.insert(prediction.idx);
    scored.push_back({prediction.idx, classes.of_record(prediction.idx), score});
    if (files.per_sample.empty()) return;
    const nlohmann::ordered_json json = {
        {"idx", prediction.idx}, {"em", score.em}, {"f1", score.f1}};
    lines += json.dump() + "\n";
  });
  if (scored.empty()) {
    throw DataError(quote(files.predictions.string()) + ": holds no prediction");
  }
  const auto num_repeated = static_cast<int64_t>(scored.size() - seen.size());
  if (num_repeated > 0) {
    note(quote(files.predictions.string()) + ": " + std::to_string(num_repeated) + " of " +
         std::to_string(scored.size()) +
         " predictions are for an idx that came before; each counts");
  }
  if (num_without_level > 0) {
    note(std::to_string(num_without_level) + " of " + std::to_string(scored.size()) +
         " predictions are for records without a " + level_name(level) +
         " label of their own; they are held against the finer labels");
  }
  if (!files.per_sample.empty()) atomic_write(files.per_sample, lines);
  const ResultRow row = result_row(scored, DrawBy::kClass);
  const nlohmann::ordered_json result = {{"level", level_name(level)},
                                         {"count", row.count},
                                         {"em", row.em.mean},
                                         {"f1", row.f1.mean},
                                         {"strict_em", row.strict_em.mean},
                                         {"classes", row.num_classes},
                                         {"em_interval", bounds(row.em)},
                                         {"f1_interval", bounds(row.f1)},
                                         {"strict_em_interval", bounds(row.strict_em)},
                                         {"records", records.size()},
                                         {"repeated", num_repeated},
                                         {"without_level", num_without_level}};
  std::cout << result.dump() << std::endl;
}

}  // namespace finer::cli
