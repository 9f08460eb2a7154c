#include "finer/train/resume.h"

#include "data/sampler.h"
#include "finer/core/error.h"
#include "finer/core/log.h"
#include "finer/model/save.h"
#include "finer/train/eval_track.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

namespace finer {

namespace {

namespace fs = std::filesystem;

// Lines of the resolved recipe that decide the result.
std::vector<std::string> deciding_lines(const std::string& yaml) {
  std::vector<std::string> out;
  std::istringstream stream(yaml);
  std::string line, section;
  while (std::getline(stream, line)) {
    if (line.empty() || line[0] == '#') continue;
    if (line[0] != ' ') section = line.substr(0, line.find(':'));
    if (section == "checkpoint" || section == "log" || section == "dist" || section == "load" ||
        section == "threads" || section == "device" || section == "output") {
      continue;
    }
    // What only says how, or what to do with broken records, may change when a run goes on.
    const auto is_key = [&](const char* key) {
      return line.find(std::string(" ") + key + ":") != std::string::npos;
    };
    if (is_key("workers") || is_key("prefetch_steps") || is_key("on_bad_record") ||
        is_key("max_bad_records"))
      continue;
    out.push_back(section + ": " + line);
  }
  return out;
}

// A checkpoint's recipe as this program would write it: keys that are new since then have their
// defaults.
std::string recipe_of(const fs::path& checkpoint) {
  const auto file = checkpoint / "recipe.yaml";
  try {
    return recipe_to_yaml(load_recipe(file, {}));
  } catch (const RecipeError&) {  // of another version: its lines are compared as they are
    std::ifstream stream(file);
    return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  }
}

void check_same_recipe(const fs::path& checkpoint, const Recipe& recipe) {
  const auto was = deciding_lines(recipe_of(checkpoint)),
             now = deciding_lines(recipe_to_yaml(recipe));
  for (size_t i = 0; i < std::max(was.size(), now.size()); ++i) {
    const std::string a = i < was.size() ? was[i] : "(nothing)",
                      b = i < now.size() ? now[i] : "(nothing)";
    if (a == b) continue;
    throw CheckpointError(checkpoint.string() + ": was made by another recipe: it has \"" + a +
                          "\", this one \"" + b +
                          "\"; use that recipe, another output, or --resume never");
  }
}

}  // namespace

Plan make_plan(const Recipe& recipe, int64_t epoch_size) {
  Plan plan;
  plan.epoch_size = epoch_size;
  if (epoch_size == 0) throw DataError("data.sets: no sample in any set");
  const int64_t a_epoch = (epoch_size + recipe.batch.samples - 1) / recipe.batch.samples;
  plan.total_steps =
      static_cast<int64_t>(std::ceil(recipe.optim.epochs * static_cast<double>(a_epoch)));
  if (recipe.optim.steps > 0) plan.total_steps = std::min(plan.total_steps, recipe.optim.steps);
  const int64_t whole = plan.total_steps / a_epoch, rest = plan.total_steps % a_epoch;
  plan.last_position = whole * epoch_size + std::min(epoch_size, rest * recipe.batch.samples);
  if (recipe.log.profile_step > plan.total_steps) {
    throw RecipeError("log.profile_step: found " + std::to_string(recipe.log.profile_step) +
                      ", which never comes; expected at most " + std::to_string(plan.total_steps) +
                      ", the run's last step");
  }
  return plan;
}

std::optional<fs::path> choose_checkpoint(const Recipe& recipe, const std::string& resume) {
  if (resume == "never") return std::nullopt;
  std::optional<fs::path> checkpoint;
  if (resume == "auto") {
    checkpoint = newest_checkpoint(recipe.output);
    if (!checkpoint) return std::nullopt;
  } else {
    checkpoint = resume;
    if (!fs::exists(*checkpoint / "COMPLETE")) {
      throw CheckpointError(resume + ": is not a complete checkpoint (no COMPLETE marker)");
    }
  }
  check_same_recipe(*checkpoint, recipe);
  return checkpoint;
}

bool is_finished(const Recipe& recipe, const fs::path& checkpoint) {
  const fs::path run_dir = recipe.output;
  if (!fs::exists(run_dir / "report.html") || !fs::exists(run_dir / "FINISHED")) return false;
  std::vector<int64_t> sizes;
  std::vector<double> weights;
  std::vector<uint64_t> hashes;
  for (const auto& set : recipe.data.sets) {
    const auto dataset = data::Dataset::open(set.path);
    sizes.push_back(dataset.size());
    weights.push_back(set.weight);
    hashes.push_back(dataset.content_hash());
  }
  const data::Sampler sampler(sizes, weights, recipe.seed, recipe.data.shuffle);
  const auto state = read_run_state(checkpoint);
  return state.data_hashes == hashes && state.base_hash == base_hash(recipe.model, recipe.seed) &&
         (state.step >= make_plan(recipe, sampler.epoch_size()).total_steps ||
          was_stopped_early(recipe, state.step));
}

RunState starting_state(const Recipe& recipe, const data::SampleSource& source,
                        const std::optional<fs::path>& checkpoint) {
  RunState fresh;
  fresh.base_hash = base_hash(recipe.model, recipe.seed);
  for (const auto& set : source.datasets()) fresh.data_hashes.push_back(set.content_hash());
  if (!checkpoint) return fresh;
  auto state = read_run_state(*checkpoint);
  if (state.base_hash != fresh.base_hash) {
    throw CheckpointError(checkpoint->string() +
                          ": was made with another base model; its files have changed since");
  }
  for (size_t i = 0; i < fresh.data_hashes.size(); ++i) {
    if (i >= state.data_hashes.size() || fresh.data_hashes[i] != state.data_hashes[i]) {
      throw CheckpointError(checkpoint->string() + ": was made with other data: " +
                            recipe.data.sets[i].path + " has changed since");
    }
  }
  return state;
}

void check_output(const fs::path& run_dir) {
  auto folder = fs::absolute(run_dir);
  while (!fs::exists(folder) && folder.has_parent_path() && folder != folder.parent_path()) {
    folder = folder.parent_path();
  }
  if (!fs::is_directory(folder)) {
    throw RecipeError("output: " + run_dir.string() + ": " + folder.string() +
                      " is a file; expected a folder that does not exist yet, or a run's");
  }
  if (access(folder.c_str(), W_OK) != 0) {
    throw RecipeError("output: " + run_dir.string() + ": " + folder.string() +
                      " cannot be written to");
  }
}

void check_position(const Plan& plan, const Recipe& recipe, const RunState& state,
                    const std::optional<fs::path>& checkpoint) {
  if (!checkpoint) return;
  const int64_t samples = recipe.batch.samples;
  const int64_t a_epoch = (plan.epoch_size + samples - 1) / samples;
  const int64_t want = state.step / a_epoch * plan.epoch_size +
                       std::min(plan.epoch_size, state.step % a_epoch * samples);
  if (state.step >= 0 && state.step <= plan.total_steps && state.position == want) return;
  throw CheckpointError((*checkpoint / "state.json").string() + ": step " +
                        std::to_string(state.step) + " at sample " +
                        std::to_string(state.position) +
                        " does not fit the recipe, which has sample " + std::to_string(want) +
                        " there; use another checkpoint, or --resume never");
}

void set_later_checkpoints_aside(const fs::path& run_dir, int64_t step) {
  while (const auto newest = newest_checkpoint(run_dir)) {
    if (read_run_state(*newest).step <= step) return;
    auto aside = newest->parent_path() / ("before-resume-" + newest->filename().string());
    while (fs::exists(aside)) aside += "-";
    fs::rename(*newest, aside);
    log::info("the later checkpoint was moved to " + aside.string());
  }
}

void move_aside(const fs::path& run_dir) {
  if (!fs::exists(run_dir)) return;
  for (int i = 1;; ++i) {
    const fs::path aside = run_dir.string() + ".before-" + std::to_string(i);
    if (fs::exists(aside)) continue;
    fs::rename(run_dir, aside);
    log::info("the earlier run was moved to " + aside.string());
    return;
  }
}

}  // namespace finer
