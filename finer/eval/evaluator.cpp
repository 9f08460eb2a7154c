#include "finer/eval/evaluator.h"

#include "finer/core/atomic_file.h"
#include "finer/core/log.h"
#include "finer/eval/eval_recipe.h"
#include "finer/eval/eval_results.h"
#include "finer/eval/eval_set.h"
#include "finer/eval/inquiry.h"
#include "finer/eval/linear_probe.h"
#include "finer/eval/probe_text.h"
#include "finer/eval/rank_shares.h"
#include "finer/train/resume.h"
#include "finer/train/stop_signal.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <filesystem>
#include <iostream>

namespace finer {

namespace {

namespace fs = std::filesystem;

bool is_asked(const EvalModelConfig& model, const EvalPromptConfig& prompt) {
  return model.prompts.empty() ||
         std::find(model.prompts.begin(), model.prompts.end(), prompt.name) != model.prompts.end();
}

// One process; asks what ranks have not.
int evaluate_alone(const EvalRecipe& recipe) {
  const at::NoGradGuard no_gradients;
  check_output(recipe.output);
  if (recipe.threads > 0) at::set_num_threads(static_cast<int>(recipe.threads));
  StopSignal signal(false);
  const auto stop = [&] { return signal.requested() != 0; };
  std::vector<Level> levels;
  for (const auto& name : recipe.levels) levels.push_back(parse_level(name));
  std::vector<EvalSet> sets;
  for (const auto& config : recipe.sets)
    sets.push_back(open_eval_set(config, recipe.subset, levels));
  // Whatever is not there is noticed before the first long step.
  std::vector<OpenModel> models;
  for (const auto& model : recipe.models) models.emplace_back(model, recipe);

  merge_parts(recipe);
  fs::create_directories(recipe.output);
  atomic_write(fs::path(recipe.output) / "recipe.yaml", eval_recipe_to_yaml(recipe));
  const auto stopped = [&] {
    log::info("stopped; all answers so far are in " + recipe.output +
              "/predictions, and the same command goes on from them");
    return 128 + signal.requested();
  };
  EvalResults probed;
  for (size_t m = 0; m < models.size(); ++m) {
    auto model = std::move(models[m]);  // closed before the next one is opened
    for (const auto& set : sets) {
      std::vector<Inquiry> inquiries;
      for (const auto& prompt : recipe.prompts) {
        if (is_asked(recipe.models[m], prompt))
          inquiries.push_back(prompt_inquiry(recipe, set, prompt));
      }
      for (auto& probe : probe_inquiries(recipe, set)) inquiries.push_back(std::move(probe));
      for (const auto& inquiry : inquiries) {
        if (!answer_missing(recipe, model, set, inquiry, stop) || stop()) return stopped();
      }
    }
    if (!run_linear_probes(recipe, model, stop, probed)) return stopped();
  }
  auto results = collect_results(recipe, sets);
  add_probe_results(recipe, sets, results);
  if (probed.extra.contains("linear")) results.extra["linear"] = probed.extra["linear"];
  add_linear_section(results);
  write_results(recipe, sets, results);
  std::cout << results_text(results) << std::flush;
  return 0;
}

}  // namespace

int evaluate(const EvalRecipe& recipe) {
  const auto launch = dist::read_launch();
  if (!launch.is_many()) return evaluate_alone(recipe);
  Ranks ranks(launch, eval_recipe_to_yaml(recipe), dist::DistConfig{}.timeout_s);
  return ranks.run([&] {
    const int code = answer_on_ranks(recipe, ranks);
    return code != 0 || !ranks.is_first() ? code : evaluate_alone(recipe);
  });
}

}  // namespace finer
