#include "finer/eval/eval_results.h"

#include "finer/core/atomic_file.h"
#include "finer/core/build_info.h"
#include "finer/core/error.h"
#include "finer/core/joined.h"
#include "finer/eval/closed_set.h"
#include "finer/eval/eval_recipe.h"
#include "finer/eval/eval_report.h"
#include "finer/eval/prompts.h"
#include "finer/eval/run_curves.h"
#include "finer/eval/text_table.h"
#include "finer/image/decode.h"
#include "finer/train/readable.h"
#include "finer/train/thumbnail.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>

namespace finer {

namespace {

namespace fs = std::filesystem;

constexpr size_t kGalleryItems = 24;     // a set
constexpr size_t kConfusionsShown = 10;  // a cell, in the report

BootstrapOptions bootstrap_options(const EvalRecipe& recipe) {
  return {.num_resamples = recipe.scoring.resamples, .seed = recipe.scoring.seed};
}

DrawBy draw_by(const EvalRecipe& recipe) {
  return recipe.scoring.draw_by == "class" ? DrawBy::kClass : DrawBy::kSample;
}

std::string condition_of(const EvalPromptConfig& prompt) {
  return prompt.name + (prompt.coarser == "predicted" ? ", predicted coarser label" : "");
}

const EvalPromptConfig& prompt_named(const EvalRecipe& recipe, const std::string& name) {
  const auto at = std::find_if(recipe.prompts.begin(), recipe.prompts.end(),
                               [&](const auto& prompt) { return prompt.name == name; });
  FINER_CHECK(at != recipe.prompts.end(), "a prompt of the recipe");
  return *at;
}

std::vector<DifferenceRow> differences(const EvalRecipe& recipe,
                                       const std::vector<ScoredCell>& cells) {
  std::vector<DifferenceRow> rows;
  const auto add = [&](const ScoredCell& a, const ScoredCell& b) {
    auto row = difference_row(a.scored, b.scored, draw_by(recipe), bootstrap_options(recipe));
    row.model = a.model;
    row.other_model = b.model;
    row.set = a.set;
    row.condition = a.prompt == b.prompt ? condition_of(prompt_named(recipe, a.prompt))
                                         : a.prompt + " against " + b.prompt;
    row.level = a.level;
    if (row.count > 0) rows.push_back(std::move(row));
  };
  for (size_t b = 0; b < cells.size(); ++b) {
    for (size_t a = 0; a < cells.size(); ++a) {
      if (a == b || cells[a].set != cells[b].set || cells[a].level != cells[b].level) continue;
      const bool is_usual = recipe.compare.empty() && a > b && cells[a].prompt == cells[b].prompt;
      const bool is_asked =
          std::any_of(recipe.compare.begin(), recipe.compare.end(), [&](const auto& c) {
            return c.model == cells[a].model && c.prompt == cells[a].prompt &&
                   c.other_model == cells[b].model && c.other_prompt == cells[b].prompt;
          });
      if (is_usual || is_asked) add(cells[a], cells[b]);
    }
  }
  return rows;
}

std::string cell_name(const ScoredCell& cell) {
  return cell.model + "--" + cell.set + "--" + cell.prompt + "--" + level_name(cell.level);
}

const EvalSet& set_named(const std::vector<EvalSet>& sets, const std::string& name) {
  const auto at =
      std::find_if(sets.begin(), sets.end(), [&](const auto& set) { return set.name == name; });
  FINER_CHECK(at != sets.end(), "a set of the recipe");
  return *at;
}

// The same records for every model, spread over the set.
std::vector<GalleryItem> gallery(const EvalRecipe& recipe, const std::vector<EvalSet>& sets,
                                 const EvalResults& results) {
  std::vector<GalleryItem> items;
  for (const auto& set : sets) {
    std::vector<std::pair<const ScoredCell*, std::map<int64_t, Prediction>>> cells;
    for (const auto& cell : results.cells) {
      if (cell.set != set.name) continue;
      cells.emplace_back(
          &cell, read_predictions(predictions_path(recipe, cell.model, cell.set, cell.prompt,
                                                   ask_of(cell.level))));
    }
    const size_t count = std::min(kGalleryItems, set.chosen.size());
    for (size_t i = 0; i < count && !cells.empty(); ++i) {
      const auto& record = set.records[set.chosen[i * set.chosen.size() / count]];
      GalleryItem item;
      item.name = record.img_path;
      item.set = set.name;
      item.gold = joined(record.fine);
      item.gold_attributes = set.attributes_of(record);
      try {
        auto thumbnail = make_thumbnail(decode_image(set.picture_of(record)));
        item.picture = std::move(thumbnail.bytes);
        item.mime = thumbnail.mime;
      } catch (const DataError&) {
        continue;  // vanished since it was asked about
      }
      for (const auto& [cell, predictions] : cells) {
        const auto at = predictions.find(record.idx);
        if (at == predictions.end()) continue;
        GalleryAnswer answer;
        answer.model = recipe.prompts.size() > 1 ? cell->model + ", " + cell->prompt : cell->model;
        answer.level = level_name(cell->level);
        for (const auto& turn : at->second.turns) {
          answer.turns.push_back({turn.question, turn.answer, {}});
          if (turn.ask == "attributes" && !item.gold_attributes.empty()) {
            answer.turns.back().attributes = marked_attributes(turn.answer, item.gold_attributes);
          }
        }
        answer.is_right = score_answer(at->second.text, gold_labels(record, cell->level)).em > 0.5;
        item.answers.push_back(std::move(answer));
      }
      items.push_back(std::move(item));
    }
  }
  return items;
}

std::vector<ClassAnswer> class_answers(const EvalRecipe& recipe, const EvalSet& set,
                                       const ScoredCell& cell) {
  const auto predictions = read_predictions(
      predictions_path(recipe, cell.model, cell.set, cell.prompt, ask_of(cell.level)));
  std::vector<ClassAnswer> answers;
  for (const auto& scored : cell.scored) {
    answers.push_back({scored.class_id, predictions.at(scored.idx).text, scored.score});
  }
  static_cast<void>(set);
  return answers;
}

// Accuracy of the likeliest name, beside free text.
void add_closed_set(const EvalRecipe& recipe, EvalResults& results) {
  ReportSection section{.title = "Choosing among the names of the set"};
  section.paragraphs = {
      "The likelihood of every name of the set as the answer, instead of what the model writes "
      "freely."};
  ReportTable table;
  table.columns = {{"model"},
                   {"set"},
                   {"asked"},
                   {"level"},
                   {"free text EM", true},
                   {"likeliest name", true},
                   {"among the first 5", true}};
  auto json = nlohmann::json::array();
  for (size_t i = 0; i < results.cells.size(); ++i) {
    const auto& cell = results.cells[i];
    std::vector<int64_t> clusters;
    if (draw_by(recipe) == DrawBy::kClass) {
      for (const auto& scored : cell.scored) clusters.push_back(scored.class_id);
    }
    const auto top1 = bootstrap_mean(cell.top1, clusters, bootstrap_options(recipe));
    const auto top5 = bootstrap_mean(cell.top5, clusters, bootstrap_options(recipe));
    table.rows.push_back({text_cell(cell.model), text_cell(cell.set), text_cell(cell.prompt),
                          text_cell(level_name(cell.level)), percent_cell(results.rows[i].em),
                          percent_cell(top1), percent_cell(top5)});
    const auto interval = [](const Interval& x) {
      return nlohmann::json{{"mean", x.mean}, {"low", x.low}, {"high", x.high}};
    };
    json.push_back({{"model", cell.model},
                    {"set", cell.set},
                    {"prompt", cell.prompt},
                    {"level", level_name(cell.level)},
                    {"top1", interval(top1)},
                    {"top5", interval(top5)}});
  }
  section.tables = {table};
  results.sections.push_back(std::move(section));
  results.extra["closed_set"] = std::move(json);
}

// A table of the report for a terminal; the notes of cells (intervals) in brackets.
std::string table_text(const ReportTable& table) {
  std::vector<std::vector<std::string>> rows(1);
  for (const auto& column : table.columns) rows[0].push_back(column.name);
  for (const auto& row : table.rows) {
    rows.emplace_back();
    for (const auto& cell : row)
      rows.back().push_back(cell.text + (cell.note.empty() ? "" : " [" + cell.note + "]"));
  }
  std::vector<bool> is_number;
  for (const auto& column : table.columns) is_number.push_back(column.is_number);
  return text_table(rows, is_number);
}

}  // namespace

fs::path predictions_path(const EvalRecipe& recipe, const std::string& model,
                          const std::string& set, const std::string& prompt, Ask ask) {
  return fs::path(recipe.output) / "predictions" /
         (model + "--" + set + "--" + prompt + "--" + scored_name(ask) + ".jsonl");
}

std::map<int64_t, Prediction> read_predictions(const fs::path& file) {
  std::ifstream stream(file);
  if (!stream) throw DataError(file.string() + ": cannot be read");
  std::map<int64_t, Prediction> out;
  std::string line;
  for (int64_t number = 1; std::getline(stream, line); ++number) {
    try {
      auto prediction = parse_prediction(line);
      const int64_t idx = prediction.idx;
      out.emplace(idx, std::move(prediction));
    } catch (const DataError& error) {
      throw DataError(file.string() + ":" + std::to_string(number) + ": " + error.what());
    }
  }
  return out;
}

EvalResults collect_results(const EvalRecipe& recipe, const std::vector<EvalSet>& sets) {
  EvalResults results;
  for (const auto& set : sets) {
    for (const auto& prompt : recipe.prompts) {
      for (const auto& plan : plan_prompt(prompt, recipe.levels)) {
        for (const Level level : kLevels) {
          if (std::find(plan.scored.begin(), plan.scored.end(), ask_of(level)) == plan.scored.end())
            continue;
          for (const auto& model : recipe.models) {
            const auto file =
                predictions_path(recipe, model.name, set.name, prompt.name, ask_of(level));
            const bool is_asked =
                model.prompts.empty() || std::find(model.prompts.begin(), model.prompts.end(),
                                                   prompt.name) != model.prompts.end();
            if (!is_asked) continue;
            const auto predictions = read_predictions(file);
            ScoredCell cell{model.name, set.name, prompt.name, level, {}};
            for (const size_t place : set.chosen) {
              const auto& record = set.records[place];
              const auto& prediction = predictions.at(record.idx);
              const auto gold = gold_labels(record, level);
              cell.scored.push_back({record.idx, set.classes.of_record(record.idx),
                                     score_answer(prediction.text, gold)});
              if (!recipe.scoring.closed_set) continue;
              cell.top1.push_back(ranks_gold(prediction.ranked, 1, gold) ? 1 : 0);
              cell.top5.push_back(ranks_gold(prediction.ranked, 5, gold) ? 1 : 0);
            }
            auto row = result_row(cell.scored, draw_by(recipe), bootstrap_options(recipe));
            row.model = model.name;
            row.set = set.name;
            row.condition = condition_of(prompt);
            row.level = level;
            results.rows.push_back(std::move(row));
            results.cells.push_back(std::move(cell));
          }
        }
      }
    }
  }
  results.differences = differences(recipe, results.cells);
  if (recipe.scoring.closed_set) add_closed_set(recipe, results);
  return results;
}

std::string results_text(const EvalResults& results) {
  std::string text =
      results.rows.empty() ? "" : result_table_text(results.rows, results.differences);
  for (const auto& section : results.sections) {
    for (const auto& table : section.tables) {
      text += (text.empty() ? "" : "\n") + section.title +
              (table.title.empty() ? "" : ": " + table.title) + "\n" + table_text(table);
    }
  }
  return text;
}

void write_results(const EvalRecipe& recipe, const std::vector<EvalSet>& sets,
                   const EvalResults& results) {
  const fs::path out = recipe.output;
  fs::create_directories(out / "classes");
  ReportSection confused{.title = "What was taken for what"};
  for (const auto& cell : results.cells) {
    const auto& set = set_named(sets, cell.set);
    const auto answers = class_answers(recipe, set, cell);
    atomic_write(out / "classes" / (cell_name(cell) + ".csv"), class_csv(set.classes, answers));
    if (cell.level != Level::kFine) continue;
    const auto found = confusions(set.classes, answers, kConfusionsShown);
    if (found.empty()) continue;
    ReportTable table{.title = cell.model + ", " + cell.set + ", " + cell.prompt};
    table.columns = {{"gold"}, {"answered"}, {"times", true}, {"of", true}};
    for (const auto& c : found) {
      table.rows.push_back({text_cell(c.gold), text_cell(c.answered),
                            text_cell(readable_count(c.count)),
                            text_cell(readable_count(c.num_gold))});
    }
    confused.tables.push_back(std::move(table));
  }
  auto json = result_table_json(results.rows, results.differences);
  for (const auto& [key, value] : results.extra.items()) json[key] = value;
  atomic_write(out / "results.json", json.dump(1) + "\n");
  atomic_write(out / "table.txt", results_text(results));

  EvalReport report;
  report.title =
      out.filename().empty() ? out.parent_path().filename().string() : out.filename().string();
  if (!recipe.report.title.empty()) report.title = recipe.report.title;
  report.lead = "Answers of " + readable_count(static_cast<int64_t>(recipe.models.size())) +
                " model(s) about " + readable_count(static_cast<int64_t>(sets.size())) +
                " set(s), scored as the Finer paper does.";
  if (!recipe.report.lead.empty()) report.lead = recipe.report.lead;
  report.when = readable_now();
  report.rows = results.rows;
  report.differences = results.differences;
  report.interval_note = "95% bootstrap over " +
                         std::string(recipe.scoring.draw_by == "class" ? "classes" : "records") +
                         ", " + readable_count(recipe.scoring.resamples) + " resamples";
  report.more = results.sections;
  if (!recipe.report.runs.empty()) {
    report.more.push_back(
        {.title = "How they were trained", .lines = {loss_curves(recipe.report.runs)}});
  }
  if (!recipe.report.caveats.empty()) {
    report.last.push_back({.title = "What to bear in mind", .points = recipe.report.caveats});
  }
  if (!confused.tables.empty()) report.more.push_back(std::move(confused));
  if (recipe.scoring.gallery) report.gallery = gallery(recipe, sets, results);
  report.environment = {{"finer", std::string(FINER_VERSION) + " " + FINER_COMMIT},
                        {"LibTorch", FINER_TORCH_VERSION},
                        {"device", recipe.device}};
  for (const auto& model : recipe.models) {
    const std::string base = model.base.llava.empty() ? model.base.language : model.base.llava;
    report.environment.push_back(
        {"model " + model.name,
         base + (base.empty() || model.adapter.empty() ? "" : " with ") + model.adapter});
  }
  report.recipe_yaml = eval_recipe_to_yaml(recipe);
  atomic_write(out / "report.html", render(report));
}

}  // namespace finer
