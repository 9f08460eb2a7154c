#include "finer/eval/probe_text.h"

#include "finer/eval/gallery.h"
#include "finer/eval/rouge.h"
#include "finer/train/readable.h"

#include <algorithm>
#include <set>

namespace finer {

namespace {

const char* const kKnowledge = "probe.knowledge";
const char* const kFromImage = "probe.attributes-image";
const char* const kFromName = "probe.attributes-name";

// Places of the first chosen record of each concept that has attributes, or of all its records.
std::vector<size_t> with_attributes(const EvalSet& set, bool once_a_concept) {
  std::vector<size_t> places;
  std::set<int64_t> seen;
  for (const size_t place : set.chosen) {
    const auto& record = set.records[place];
    if (set.attributes_of(record).empty()) continue;
    if (once_a_concept && !seen.insert(set.classes.of_record(record.idx)).second) continue;
    places.push_back(place);
  }
  return places;
}

std::string or_else(const std::string& given, const char* own) {
  return given.empty() ? own : given;
}

Inquiry one_question(const EvalRecipe& recipe, const char* name, Ask ask,
                     const std::string& wording) {
  Inquiry inquiry;
  inquiry.name = name;
  PromptPlan plan;
  plan.rounds = {{ask, wording}};
  plan.scored = {ask};
  inquiry.plans = {plan};
  inquiry.max_new_tokens = recipe.generate.max_new_tokens;
  inquiry.with_pictures = false;
  return inquiry;
}

std::string gold_list(const std::vector<std::string>& attributes) {
  std::string text;
  for (const auto& attribute : attributes) text += (text.empty() ? "" : ", ") + attribute;
  return text;
}

BootstrapOptions options_of(const EvalRecipe& recipe) {
  return {.num_resamples = recipe.scoring.resamples, .seed = recipe.scoring.seed};
}

void add_knowledge(const EvalRecipe& recipe, const std::vector<EvalSet>& sets,
                   EvalResults& results) {
  ReportSection section{.title = "The modality gap"};
  section.paragraphs = {
      "Text only: the concept's attributes and taxonomy as words, once a concept. Picture: the "
      "exact name from the picture alone. The gap is what the model knows and does not see."};
  ReportTable table{.title = "Exact name, EM"};
  table.columns = {{"model"},           {"set"},           {"asked"},    {"concepts", true},
                   {"text only", true}, {"picture", true}, {"gap", true}};
  auto json = nlohmann::json::array();
  for (const auto& set : sets) {
    const auto places = with_attributes(set, true);
    for (const auto& model : recipe.models) {
      const auto predictions =
          read_predictions(predictions_path(recipe, model.name, set.name, kKnowledge, Ask::kFine));
      std::vector<double> em;
      for (const size_t place : places) {
        const auto& record = set.records[place];
        const auto& text = predictions.at(record.idx).text;
        em.push_back(score_answer(text, gold_labels(record, Level::kFine)).em);
      }
      const Interval text_only = bootstrap_mean(em, {}, options_of(recipe));
      json.push_back({{"model", model.name},
                      {"set", set.name},
                      {"concepts", em.size()},
                      {"without_attributes", set.classes.size() - static_cast<int64_t>(em.size())},
                      {"em", interval_json(text_only)}});
      bool is_alone = true;
      for (size_t i = 0; i < results.cells.size(); ++i) {
        const auto& cell = results.cells[i];
        if (cell.model != model.name || cell.set != set.name || cell.level != Level::kFine)
          continue;
        is_alone = false;
        const double gap = text_only.mean - results.rows[i].em.mean;
        table.rows.push_back({text_cell(model.name), text_cell(set.name), text_cell(cell.prompt),
                              text_cell(readable_count(static_cast<int64_t>(em.size()))),
                              percent_cell(text_only), percent_cell(results.rows[i].em),
                              text_cell(readable_fixed(100 * gap, 1))});
        json.back()["picture"][cell.prompt] = interval_json(results.rows[i].em);
      }
      if (is_alone) {
        table.rows.push_back({text_cell(model.name), text_cell(set.name), text_cell(""),
                              text_cell(readable_count(static_cast<int64_t>(em.size()))),
                              percent_cell(text_only), text_cell(""), text_cell("")});
      }
    }
  }
  section.tables = {table};
  results.sections.push_back(std::move(section));
  results.extra["knowledge"] = std::move(json);
}

void add_attributes(const EvalRecipe& recipe, const std::vector<EvalSet>& sets,
                    EvalResults& results) {
  ReportSection section{.title = "Attributes that the model gives"};
  section.paragraphs = {
      "Held against the concept's required attributes. Exact: attributes of a comma list that "
      "equal one of the concept's."};
  ReportTable table;
  table.columns = {{"model"},         {"set"},           {"from"},          {"n", true},
                   {"ROUGE-1", true}, {"ROUGE-2", true}, {"ROUGE-L", true}, {"precision", true},
                   {"recall", true}};
  auto json = nlohmann::json::array();
  for (const auto& set : sets) {
    for (const auto& model : recipe.models) {
      for (const bool from_name : {false, true}) {
        const auto predictions = read_predictions(predictions_path(
            recipe, model.name, set.name, from_name ? kFromName : kFromImage, Ask::kAttributes));
        std::vector<double> columns[5];
        std::vector<int64_t> classes;
        for (const size_t place : with_attributes(set, from_name)) {
          const auto& record = set.records[place];
          const auto& answer = predictions.at(record.idx).text;
          const auto gold = set.attributes_of(record);
          const auto rouge = rouge_scores(gold_list(gold), answer);
          const auto match = match_attributes(answer, gold);
          const double values[] = {rouge.rouge1, rouge.rouge2, rouge.rougeL, match.precision,
                                   match.recall};
          for (int i = 0; i < 5; ++i) columns[i].push_back(values[i]);
          classes.push_back(set.classes.of_record(record.idx));
        }
        std::vector<ReportCell> row = {
            text_cell(model.name), text_cell(set.name), text_cell(from_name ? "name" : "picture"),
            text_cell(readable_count(static_cast<int64_t>(classes.size())))};
        nlohmann::json item = {{"model", model.name},
                               {"set", set.name},
                               {"from", from_name ? "name" : "image"},
                               {"count", classes.size()}};
        const char* const kKeys[] = {"rouge1", "rouge2", "rougeL", "precision", "recall"};
        for (int i = 0; i < 5; ++i) {
          const auto interval = bootstrap_mean(columns[i], classes, options_of(recipe));
          row.push_back(percent_cell(interval));
          item[kKeys[i]] = interval_json(interval);
        }
        table.rows.push_back(std::move(row));
        json.push_back(std::move(item));
      }
    }
  }
  section.tables = {table};
  results.sections.push_back(std::move(section));
  results.extra["attributes"] = std::move(json);
}

}  // namespace

std::vector<Inquiry> probe_inquiries(const EvalRecipe& recipe, const EvalSet& set) {
  std::vector<Inquiry> out;
  const auto& p = recipe.probes;
  if (p.has_knowledge) {
    out.push_back(one_question(
        recipe, kKnowledge, Ask::kFine,
        or_else(p.knowledge.wording,
                "There is a kind of {superordinate}, more exactly of {coarse}, that has "
                "{attributes}. What is the exact name of this {coarse}? Answer with its name and "
                "nothing else.")));
    out.back().places = with_attributes(set, true);
  }
  if (p.has_attributes) {
    out.push_back(one_question(recipe, kFromImage, Ask::kAttributes,
                               or_else(p.attributes.image_wording,
                                       "What visual attributes does the {coarse} in this picture "
                                       "have? Answer with a list, separated by commas.")));
    out.back().with_pictures = true;
    out.back().places = with_attributes(set, false);
    out.push_back(one_question(recipe, kFromName, Ask::kAttributes,
                               or_else(p.attributes.name_wording,
                                       "What visual attributes does {fine} have? Answer with a "
                                       "list, separated by commas.")));
    out.back().places = with_attributes(set, true);
  }
  return out;
}

void add_probe_results(const EvalRecipe& recipe, const std::vector<EvalSet>& sets,
                       EvalResults& results) {
  if (recipe.probes.has_knowledge) add_knowledge(recipe, sets, results);
  if (recipe.probes.has_attributes) add_attributes(recipe, sets, results);
}

AttributeMatch match_attributes(const std::string& answer, const std::vector<std::string>& gold) {
  std::set<std::string> wanted, found;
  for (const auto& attribute : gold) wanted.insert(normalise_answer(attribute));
  for (const auto& attribute : marked_attributes(answer, gold))
    found.insert(normalise_answer(attribute.text));
  found.erase("");
  wanted.erase("");
  const auto both = static_cast<double>(std::count_if(
      found.begin(), found.end(), [&](const auto& text) { return wanted.count(text) > 0; }));
  AttributeMatch match;
  if (!found.empty()) match.precision = both / static_cast<double>(found.size());
  if (!wanted.empty()) match.recall = both / static_cast<double>(wanted.size());
  return match;
}

}  // namespace finer
