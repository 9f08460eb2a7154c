#include "finer/train/eval_track.h"

#include "finer/core/atomic_file.h"
#include "finer/core/error.h"
#include "finer/core/log.h"
#include "finer/core/near_miss.h"
#include "finer/core/quote.h"
#include "finer/model/save.h"
#include "finer/train/checkpoint.h"
#include "finer/train/readable.h"

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <fstream>
#include <utility>
#include <vector>

namespace finer {

namespace {

namespace fs = std::filesystem;
using OrderedJson = nlohmann::ordered_json;

// Whole lines up to a step; what is behind it, or cut short, is left out.
std::vector<OrderedJson> read_lines(const fs::path& file, int64_t last_step) {
  std::vector<OrderedJson> lines;
  std::ifstream stream(file);
  for (std::string text; std::getline(stream, text) && !stream.eof();) {
    try {
      auto line = OrderedJson::parse(text);
      if (line.at("step").get<int64_t>() > last_step) break;
      lines.push_back(std::move(line));
    } catch (const nlohmann::json::exception&) {
      throw CheckpointError(
          file.string() + ":" + std::to_string(lines.size() + 1) +
          ": is no evaluation; remove the file to go on without the earlier ones");
    }
  }
  return lines;
}

bool is_lower_better(const std::string& metric) { return metric == "loss"; }

bool is_better(const std::string& metric, double value, std::optional<double> best) {
  if (!std::isfinite(value)) return false;
  return !best || (is_lower_better(metric) ? value < *best : value > *best);
}

}  // namespace

EvalTrack::EvalTrack(const Recipe& recipe, EvalHook* hook, const RunSetup& run, int64_t last_step,
                     bool writes, EvalShare share)
    : recipe_(recipe),
      hook_(recipe.has_eval ? hook : nullptr),
      run_(run),
      writes_(writes),
      share_(std::move(share)) {
  FINER_CHECK(!recipe.has_eval || hook != nullptr, "an evaluation for a recipe with eval:");
  if (hook_ == nullptr) return;
  hook_->open(recipe, run);
  file_ = fs::path(recipe.output) / "eval.jsonl";
  const auto lines = read_lines(file_, last_step);
  std::string text;
  for (const auto& line : lines) {
    text += line.dump() + "\n";
    metric_ = line.value("best_by", "");
    last_measured_ = line.at("step").get<int64_t>();
    const auto value = line.find(metric_);
    take(last_measured_,
         value != line.end() && value->is_number() ? value->get<double>() : std::nan(""));
  }
  if (writes_) atomic_write(file_, text);
}

void EvalTrack::take(int64_t step, double value) {
  if (is_better(metric_, value, best_)) {
    best_ = value;
    best_step_ = step;
    since_best_ = 0;
  } else {
    ++since_best_;
  }
}

void EvalTrack::after_step(int64_t step, bool is_last) {
  if (hook_ == nullptr || step == last_measured_) return;
  if (step % recipe_.eval.every_steps != 0 && !is_last) return;
  const auto start = std::chrono::steady_clock::now();
  const auto metrics = hook_->measure(share_);
  std::vector<std::string> names;
  for (const auto& [name, ignored] : metrics) names.push_back(name);
  FINER_CHECK(!names.empty(), "an evaluation that measures something");
  metric_ = recipe_.eval.best_by.empty() ? names.front() : recipe_.eval.best_by;
  OrderedJson line = {{"step", step}};
  std::string said = "evaluation at step " + std::to_string(step) + ":";
  std::optional<double> value;
  for (const auto& [name, x] : metrics) {
    line[name] = x;  // JSON has no NaN: null
    said += " " + name + " " + readable_number(x, 4);
    if (name == metric_) value = x;
  }
  if (!value) {
    throw RecipeError("eval.best_by: found " + quote(metric_) + ", which is not measured" +
                      did_you_mean(metric_, names));
  }
  const auto best_before = best_step_;
  take(step, *value);
  last_measured_ = step;
  line["best_by"] = metric_;
  line["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!writes_) return;
  if (best_step_ != best_before) keep_best(step);
  const std::string text = line.dump() + "\n";
  const int fd = ::open(file_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) throw Error(file_.string() + ": " + std::strerror(errno));
  try {
    write_all(fd, text.data(), text.size());
  } catch (...) {
    ::close(fd);
    throw;
  }
  ::close(fd);
  log::info(said + (best_step_ == step
                        ? ", the best so far"
                        : ", best " + readable_number(best_.value_or(std::nan("")), 4) +
                              " at step " + std::to_string(best_step_)));
  if (is_over() && !is_last) {
    log::info("no better " + metric_ + " in " + std::to_string(since_best_) +
              " evaluations: the run ends here (eval.patience)");
  }
}

// Beside, then renamed into place: a reader finds the old best or the new one.
void EvalTrack::keep_best(int64_t step) {
  const fs::path dir = fs::path(recipe_.output) / "best";
  const fs::path partial = fs::path(recipe_.output) / "partial-best";
  const fs::path old = fs::path(recipe_.output) / "partial-old-best";
  fs::remove_all(partial);
  fs::create_directories(partial);
  if (recipe_.train.language == "full" || recipe_.train.vision == "full")
    save_model(*run_.model, recipe_.model, partial / "model");
  save_adapter_files(recipe_, *run_.model, partial / "adapter");
  atomic_write(partial / "best.json",
               OrderedJson({{"step", step}, {"metric", metric_}, {"value", *best_}}).dump() + "\n");
  fs::remove_all(old);
  if (fs::exists(dir)) fs::rename(dir, old);
  fs::rename(partial, dir);
  fs::remove_all(old);
}

void EvalTrack::sync() const {
  if (hook_ == nullptr || !writes_) return;
  const int fd = ::open(file_.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

bool EvalTrack::is_over() const {
  return hook_ != nullptr && recipe_.eval.patience > 0 && since_best_ >= recipe_.eval.patience;
}

bool was_stopped_early(const Recipe& recipe, int64_t step) {
  if (!recipe.has_eval || recipe.eval.patience == 0) return false;
  int64_t since_best = 0, measured = 0;
  std::optional<double> best;
  for (const auto& line : read_lines(fs::path(recipe.output) / "eval.jsonl", step)) {
    const auto metric = line.value("best_by", std::string());
    const auto at = line.find(metric);
    const double value = at != line.end() && at->is_number() ? at->get<double>() : std::nan("");
    measured = line.at("step").get<int64_t>();
    if (is_better(metric, value, best)) {
      best = value;
      since_best = 0;
    } else {
      ++since_best;
    }
  }
  return measured == step && since_best >= recipe.eval.patience;
}

}  // namespace finer
