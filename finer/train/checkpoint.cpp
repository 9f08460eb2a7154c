#include "finer/train/checkpoint.h"

#include "finer/core/atomic_file.h"
#include "finer/core/build_info.h"
#include "finer/core/error.h"
#include "finer/io/tensor_file.h"
#include "lora/attach.h"
#include "lora/peft_io.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>

namespace finer {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// Complete checkpoints, oldest first.
std::vector<std::pair<int64_t, fs::path>> complete_checkpoints(const fs::path& run_dir) {
  std::vector<std::pair<int64_t, fs::path>> out;
  const auto folder = run_dir / "checkpoints";
  if (!fs::is_directory(folder)) return out;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const auto name = entry.path().filename().string();
    if (name.rfind("step-", 0) != 0 || name.size() > 20 || !fs::exists(entry.path() / "COMPLETE"))
      continue;
    if (name.find_first_not_of("0123456789", 5) != std::string::npos || name.size() == 5) continue;
    out.emplace_back(std::stoll(name.substr(5)), entry.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

// What a kill in the middle of writing or removing a checkpoint left behind: nothing reads these
// again.
void remove_leftovers(const fs::path& folder) {
  std::vector<fs::path> leftovers;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const auto name = entry.path().filename().string();
    const bool is_ours = name.rfind("step-", 0) == 0 || name.rfind("partial-step-", 0) == 0;
    if (is_ours && entry.is_directory() &&
        (name[0] == 'p' || !fs::exists(entry.path() / "COMPLETE"))) {
      leftovers.push_back(entry.path());
    }
  }
  for (const auto& path : leftovers) fs::remove_all(path);
}

}  // namespace

std::string base_name(const ModelConfig& model) {
  if (!model.llava.empty()) return model.llava;
  return model.language.empty() ? "from_scratch" : model.language;
}

std::string adapter_base(const Recipe& recipe) {
  const bool is_tuned = recipe.train.language == "full" || recipe.train.vision == "full";
  return is_tuned ? (fs::path(recipe.output) / "model").string() : base_name(recipe.model);
}

bool save_adapter_files(const Recipe& recipe, Llava& model, const fs::path& dir) {
  const bool has_projector = model.projector() && recipe.train.projector == "full";
  const bool has_adapter = !lora::adapted_linears(model).empty();
  if (!has_adapter && !has_projector) return false;
  lora::AdapterInfo info;
  info.config = recipe.lora;
  info.base_model = adapter_base(recipe);
  info.saves_projector = has_projector;
  info.finer = {{"finer_version", FINER_VERSION}, {"finer_commit", FINER_COMMIT}};
  lora::save_adapter(model, info, dir);
  return true;
}

void save_checkpoint(const fs::path& run_dir, const RunState& state, const Recipe& recipe,
                     Llava& model, const Optimizer& optimizer, int64_t keep) {
  const auto folder = run_dir / "checkpoints";
  const auto final_dir = folder / ("step-" + std::to_string(state.step));
  const auto temporary = folder / ("partial-step-" + std::to_string(state.step));
  fs::remove_all(temporary);
  fs::create_directories(temporary);
  save_adapter_files(recipe, model, temporary / "adapter");
  save_safetensors(temporary / "optimizer.safetensors", optimizer.state());
  atomic_write(temporary / "recipe.yaml", recipe_to_yaml(recipe));
  const auto& c = state.counts;
  const Json json = {
      {"step", state.step},
      {"position", state.position},
      {"skipped", state.skipped},
      {"data_hashes", state.data_hashes},
      {"loss_scale", state.scaler.scale},
      {"loss_scale_good_steps", state.scaler.good_steps},
      {"base", base_name(recipe.model)},
      {"base_hash", state.base_hash},
      {"counts", {c.samples, c.dropped_over_length, c.cut, c.dropped_zero_label, c.bad_records}},
      {"finer_commit", FINER_COMMIT}};
  atomic_write(temporary / "state.json", json.dump(2) + "\n");
  atomic_write(temporary / "COMPLETE", "");
  sync_folder(temporary);
  fs::remove_all(final_dir);
  fs::rename(temporary, final_dir);
  sync_folder(folder);
  auto all = complete_checkpoints(run_dir);
  for (size_t i = 0; i + static_cast<size_t>(std::max<int64_t>(1, keep)) < all.size(); ++i) {
    fs::remove(all[i].second / "COMPLETE");
    fs::remove_all(all[i].second);
  }
  remove_leftovers(folder);
}

std::optional<fs::path> newest_checkpoint(const fs::path& run_dir) {
  const auto all = complete_checkpoints(run_dir);
  if (all.empty()) return std::nullopt;
  return all.back().second;
}

RunState read_run_state(const fs::path& dir) {
  if (!fs::exists(dir / "COMPLETE")) {
    throw CheckpointError(dir.string() + ": is not a complete checkpoint (no COMPLETE marker)");
  }
  RunState state;
  try {
    std::ifstream stream(dir / "state.json");
    const auto json = Json::parse(stream);
    state.step = json.at("step").get<int64_t>();
    state.position = json.at("position").get<int64_t>();
    state.skipped = json.at("skipped").get<int64_t>();
    state.data_hashes = json.at("data_hashes").get<std::vector<uint64_t>>();
    state.scaler = {json.at("loss_scale").get<double>(),
                    json.at("loss_scale_good_steps").get<int64_t>()};
    state.base_hash = json.at("base_hash").get<uint64_t>();
    const auto c = json.at("counts").get<std::vector<int64_t>>();
    if (c.size() == 5) state.counts = {c[0], c[1], c[2], c[3], c[4]};
  } catch (const Json::parse_error& error) {
    throw CheckpointError((dir / "state.json").string() + ": is not JSON at byte " +
                          std::to_string(error.byte) +
                          "; use another checkpoint, or --resume never");
  } catch (const Json::exception&) {
    throw CheckpointError(
        (dir / "state.json").string() +
        ": lacks a key, or holds another type than this version of finer writes; use another "
        "checkpoint, or --resume never");
  }
  return state;
}

RunState load_checkpoint(const fs::path& dir, Llava& model, Optimizer& optimizer) {
  auto state = read_run_state(dir);
  if (!lora::adapted_linears(model).empty()) {
    const at::NoGradGuard no_gradients;
    lora::fill_adapter(model, dir / "adapter");
  }
  const auto file = open_tensor_file(dir / "optimizer.safetensors");
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [name, info] : file->tensors()) tensors[name] = file->read(name);
  optimizer.load_state(tensors, (dir / "optimizer.safetensors").string());
  return state;
}

}  // namespace finer
