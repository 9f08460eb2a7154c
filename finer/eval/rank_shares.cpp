#include "finer/eval/rank_shares.h"

#include "finer/core/error.h"
#include "finer/core/log.h"
#include "finer/dist/sharding.h"
#include "finer/eval/eval_recipe.h"
#include "finer/eval/eval_results.h"
#include "finer/eval/eval_set.h"
#include "finer/eval/inquiry.h"
#include "finer/eval/linear_probe.h"
#include "finer/eval/predictions.h"
#include "finer/eval/probe_text.h"
#include "finer/train/resume.h"
#include "finer/train/stop_signal.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <set>

namespace finer {

namespace {

namespace fs = std::filesystem;
using Settings = std::map<std::string, std::string>;

fs::path parts_folder(const EvalRecipe& recipe) { return fs::path(recipe.output) / "parts"; }

Settings read_settings(fs::path file) {
  file.replace_extension(".settings.json");
  try {
    std::ifstream stream(file);
    return nlohmann::json::parse(stream).get<Settings>();
  } catch (const nlohmann::json::exception&) {
    throw DataError(file.string() + ": is no JSON object of texts; remove " +
                    file.parent_path().parent_path().string() + " to start anew");
  }
}

bool is_asked(const EvalModelConfig& model, const EvalPromptConfig& prompt) {
  return model.prompts.empty() ||
         std::find(model.prompts.begin(), model.prompts.end(), prompt.name) != model.prompts.end();
}

// This rank's share of the records that lack an answer.
std::vector<size_t> own_places(const EvalRecipe& recipe, const std::string& model,
                               const EvalSet& set, const Inquiry& inquiry,
                               const dist::ProcessGroup& group) {
  std::map<size_t, size_t> answers;  // of each place
  size_t wanted = 0;
  for (const auto& plan : inquiry.plans) {
    for (const Ask ask : plan.scored) {
      ++wanted;
      const auto file = predictions_path(recipe, model, set.name, inquiry.name, ask);
      if (!fs::exists(file)) continue;
      const auto there = read_predictions(file);
      for (const size_t place : inquiry.places)
        answers[place] += there.count(set.records[place].idx);
    }
  }
  std::vector<size_t> missing;
  for (const size_t place : inquiry.places) {
    if (answers[place] < wanted) missing.push_back(place);
  }
  const auto share =
      dist::share_of(static_cast<int64_t>(missing.size()), group.rank(), group.size());
  return {missing.begin() + share.begin, missing.begin() + share.end};
}

// SIGINT or SIGTERM of any rank; asked often, looked up once a second.
class SharedStop {
 public:
  explicit SharedStop(Ranks& ranks) : ranks_(ranks), signal_(ranks.is_first()) {}

  int requested() {
    if (found_ == 0 && signal_.requested() != 0) {
      found_ = signal_.requested();
      ranks_.group().store().set("stop", std::to_string(found_));
    }
    const auto now = std::chrono::steady_clock::now();
    if (found_ == 0 && now - looked_ > std::chrono::seconds(1)) {
      looked_ = now;
      ranks_.watch().mark(dist::Doing::kFiles, "answering");
      if (const auto other = ranks_.group().store().get("stop")) found_ = *other == "2" ? 2 : 15;
    }
    return found_;
  }

 private:
  Ranks& ranks_;
  StopSignal signal_;
  int found_ = 0;
  std::chrono::steady_clock::time_point looked_;
};

}  // namespace

// Every rank's files of one name go into the main one; then the parts go.
void merge_parts(const EvalRecipe& recipe) {
  const auto folder = parts_folder(recipe);
  if (!fs::is_directory(folder)) return;
  std::map<std::string, std::vector<fs::path>> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    // An empty one holds no answer, and no settings where its rank was killed as it made it.
    if (entry.path().extension() == ".jsonl" && entry.file_size() > 0)
      files[entry.path().filename().string()].push_back(entry.path());
  }
  for (auto& [name, paths] : files) {
    std::sort(paths.begin(), paths.end());
    std::map<int64_t, Prediction> answers;
    for (const auto& path : paths) {
      const PredictionsFile part(path, read_settings(path));
      answers.insert(part.all().begin(), part.all().end());
    }
    PredictionsFile whole(fs::path(recipe.output) / "predictions" / name, read_settings(paths[0]));
    for (const auto& [idx, answer] : answers) {
      if (!whole.has(idx)) whole.append(answer);
    }
    whole.sync();
  }
  fs::remove_all(folder);
}

int answer_on_ranks(const EvalRecipe& recipe, Ranks& ranks) {
  const at::NoGradGuard no_gradients;
  check_output(recipe.output);
  Recipe where;
  where.device = recipe.device;
  where.threads = recipe.threads;
  where = ranks.own_recipe(where);
  EvalRecipe own = recipe;
  own.device = where.device;
  own.threads = where.threads;
  own.output = (parts_folder(recipe) / ("rank-" + std::to_string(ranks.group().rank()))).string();
  at::set_num_threads(static_cast<int>(own.threads));

  ranks.first_does("putting together earlier answers", [&] { merge_parts(recipe); });
  log::add_file(fs::path(recipe.output) / "logs" / ranks.log_name());
  ranks.watch().mark(dist::Doing::kFiles, "opening sets and models");
  std::vector<Level> levels;
  for (const auto& name : recipe.levels) levels.push_back(parse_level(name));
  std::vector<EvalSet> sets;
  std::string records;
  for (const auto& config : recipe.sets) {
    sets.push_back(open_eval_set(config, recipe.subset, levels));
    records += sets.back().name + " of hash " + std::to_string(sets.back().records_hash) + "\n";
  }
  dist::agree(ranks.group(), "records", {{"records", records}});

  SharedStop stop(ranks);
  const auto is_stopped = [&] { return stop.requested() != 0; };
  for (size_t m = 0; m < own.models.size(); ++m) {
    const auto& config = own.models[m];
    OpenModel model(config, own);
    for (const auto& set : sets) {
      std::vector<Inquiry> inquiries;
      for (const auto& prompt : own.prompts) {
        if (is_asked(config, prompt)) inquiries.push_back(prompt_inquiry(own, set, prompt));
      }
      for (auto& probe : probe_inquiries(own, set)) inquiries.push_back(std::move(probe));
      for (auto& inquiry : inquiries) {
        inquiry.places = own_places(recipe, config.name, set, inquiry, ranks.group());
        if (is_stopped() || inquiry.places.empty()) continue;
        answer_missing(own, model, set, inquiry, is_stopped);
      }
    }
    // into the folder of all: a file has one rank that writes it
    const bool is_own = static_cast<int64_t>(m) % ranks.group().size() == ranks.group().rank();
    if (is_own && !is_stopped()) keep_linear_probes(recipe, model, is_stopped);
  }
  ranks.watch().mark(dist::Doing::kWaiting, "the other ranks' answers");
  int signal = 0;
  for (const auto& values : ranks.group().gather({static_cast<double>(stop.requested())}))
    signal = std::max(signal, static_cast<int>(values[0]));
  if (ranks.is_first()) {
    ranks.watch().mark(dist::Doing::kFiles, "putting together the answers");
    merge_parts(recipe);
  }
  ranks.leave();
  return signal == 0 ? 0 : 128 + signal;
}

}  // namespace finer
