#include "finer/train/trainer.h"

#include "finer/core/atomic_file.h"
#include "finer/core/build_info.h"
#include "finer/core/error.h"
#include "finer/core/log.h"
#include "finer/model/save.h"
#include "finer/nn/device.h"
#include "finer/train/checkpoint.h"
#include "finer/train/metrics.h"
#include "finer/train/movement.h"
#include "finer/train/progress.h"
#include "finer/train/readable.h"
#include "finer/train/resume.h"
#include "finer/train/run_outcome.h"
#include "finer/train/run_setup.h"
#include "finer/train/step.h"
#include "finer/train/step_cost.h"
#include "finer/train/stop_signal.h"
#include "finer/train/tensorboard.h"
#include "finer/train/trainable.h"
#include "lora/peft_io.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <sstream>

namespace finer {

namespace {

namespace fs = std::filesystem;

std::vector<TrainedPart> part_table(Llava& model, const Recipe& recipe,
                                    const std::vector<Trainable>& trainables) {
  std::vector<TrainedPart> table;
  const auto add = [&](const std::string& part, const std::string& prefix,
                       const std::string& mode) {
    TrainedPart row{part, mode, 0, 0, base_lr(recipe.optim, part)};
    model.visit_weights([&](const std::string& name, const at::Tensor& slot) {
      if (name.rfind(prefix, 0) == 0) row.total += slot.numel();
    });
    for (const auto& t : trainables) {
      if (t.part != part) continue;
      row.trainable += t.leaf.numel();
      if (t.is_adapter) row.total += t.leaf.numel();
    }
    if (row.total > 0) table.push_back(row);
  };
  add("vision", "vision_tower.", recipe.train.vision);
  add("projector", "multi_modal_projector.", recipe.train.projector);
  add("language", "language_model.", recipe.train.language);
  return table;
}

std::string part_text(const std::vector<TrainedPart>& table,
                      const std::vector<Trainable>& trainables) {
  std::ostringstream out;
  out << std::left << std::setw(11) << "part" << std::setw(8) << "mode" << std::right
      << std::setw(9) << "tensors" << std::setw(15) << "trainable" << std::setw(15) << "parameters"
      << std::setw(10) << "lr"
      << "\n";
  for (const auto& row : table) {
    const auto tensors = std::count_if(trainables.begin(), trainables.end(),
                                       [&](const Trainable& t) { return t.part == row.name; });
    out << std::left << std::setw(11) << row.name << std::setw(8) << row.mode << std::right
        << std::setw(9) << tensors << std::setw(15) << readable_count(row.trainable)
        << std::setw(15) << readable_count(row.total) << std::setw(10)
        << (row.trainable > 0 ? readable_number(row.lr, 4) : "-") << "\n";
  }
  return out.str();
}

bool has_picture(const data::StepBatch& batch) {
  return std::any_of(batch.passes.begin(), batch.passes.end(),
                     [](const auto& pass) { return pass.num_images > 0; });
}

}  // namespace

int train(const Recipe& recipe, const std::string& resume) {
  const fs::path run_dir = recipe.output;
  check_output(run_dir);
  const auto checkpoint = choose_checkpoint(recipe, resume);
  if (checkpoint && is_finished(recipe, *checkpoint)) {
    log::info("this run is finished: " + run_dir.string() + " (--resume never starts it anew)");
    return 0;
  }
  auto run = open_run(recipe, true);
  if (!checkpoint && !recipe.lora.init_from.empty()) {
    const at::NoGradGuard no_gradients;
    lora::fill_adapter(*run.model, recipe.lora.init_from);
  }
  AdamW optimizer(prepare_training(*run.model, recipe.train), recipe.optim);
  RunState state = starting_state(recipe, *run.source, checkpoint);
  if (checkpoint) load_checkpoint(*checkpoint, *run.model, optimizer);

  if (resume == "never") move_aside(run_dir);
  fs::create_directories(run_dir);
  log::add_file(run_dir / "logs" / "rank-0.log");
  atomic_write(run_dir / "recipe.yaml", recipe_to_yaml(recipe));
  data::Sampler sampler(run.source->sizes(), run.source->weights(), recipe.seed,
                        recipe.data.shuffle);
  const auto plan = make_plan(recipe, sampler.epoch_size());
  check_position(plan, recipe, state, checkpoint);
  if (checkpoint) set_later_checkpoints_aside(run_dir, state.step);
  std::filesystem::remove(run_dir / "FINISHED");
  const auto table = part_table(*run.model, recipe, optimizer.trainables());
  log::info(std::string("finer ") + FINER_VERSION + " (" + FINER_COMMIT + "), device " +
            device_name(run.model->options().device()) + ", " + std::to_string(plan.epoch_size) +
            " samples an epoch, " + std::to_string(plan.total_steps) + " steps, seed " +
            std::to_string(recipe.seed));
  std::istringstream rows(part_text(table, optimizer.trainables()));
  for (std::string row; std::getline(rows, row);) log::info(row);
  if (checkpoint) log::info("going on from " + checkpoint->string());

  MetricsFile metrics_file(run_dir / "metrics.jsonl", state.step);
  std::optional<EventsFile> events;
  if (recipe.log.tensorboard) events.emplace(run_dir, state.step + 1);
  Progress progress(state.step + 1, plan.total_steps, recipe.log.every_steps);
  StopSignal stop;
  data::Loader loader(*run.source, sampler, recipe.data, recipe.batch, state.step, state.position,
                      plan.last_position, state.counts);
  std::optional<LossScaler> scaler;
  if (recipe.model.dtype == "float16") {
    scaler.emplace();
    if (checkpoint) scaler->restore(state.scaler);
  }
  MovementCheck movement(*run.model, optimizer.trainables());
  int64_t bad_in_a_row = 0, saved_at = checkpoint ? state.step : -1;
  const auto save = [&] {
    if (saved_at == state.step) return;
    metrics_file.sync();
    save_checkpoint(run_dir, state, recipe, *run.model, optimizer, recipe.checkpoint.keep);
    saved_at = state.step;
  };

  while (stop.requested() == 0) {
    const auto start = std::chrono::steady_clock::now();
    std::optional<data::StepBatch> batch;
    try {
      batch = loader.next();
    } catch (const DataError&) {
      if (state.step > 0) save();  // what was learned before the broken sample stays
      throw;
    }
    if (!batch) break;
    const double factor = schedule_factor(recipe.optim, state.step, plan.total_steps);
    const bool is_empty = batch->label_weight == 0;
    const auto result = is_empty ? StepResult{.loss = std::nan(""), .skipped = true}
                                 : train_step(*run.model, optimizer, *batch, recipe.loss, factor,
                                              recipe.seed, scaler ? &*scaler : nullptr);
    const bool is_update_visible = !result.skipped && factor > 0;
    if (is_update_visible) movement.after_update(optimizer, has_picture(*batch));
    state.step += 1;
    state.position = batch->next_position;
    state.counts = batch->counts;
    if (scaler) state.scaler = scaler->state();
    const bool is_scale_search =
        scaler && std::isfinite(result.loss);  // the scaler gives up by itself
    if (!is_empty) bad_in_a_row = result.skipped && !is_scale_search ? bad_in_a_row + 1 : 0;
    state.skipped += result.skipped ? 1 : 0;

    StepMetrics m;
    m.step = state.step;
    m.epoch = static_cast<double>(state.position) / static_cast<double>(plan.epoch_size);
    m.loss = result.loss;
    m.lr = recipe.optim.lr * factor;
    m.grad_norm = result.grad_norm;
    m.samples = batch->num_samples;
    m.tokens = batch->num_tokens;
    m.label_tokens = batch->num_label_tokens;
    m.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    m.data_wait = batch->wait_s;
    m.peak_bytes = peak_bytes(run.model->options().device());
    m.skipped = result.skipped;
    metrics_file.write(m);
    if (events) events->write(m);
    progress.update(m);
    if (bad_in_a_row >= recipe.train.max_bad_steps) {
      std::string name = "none of them";
      for (const auto& t : optimizer.trainables()) {
        if (t.leaf.grad().defined() && !t.leaf.grad().isfinite().all().item<bool>()) {
          name = t.name;
          break;
        }
      }
      throw Error("step " + std::to_string(state.step) + ": " + std::to_string(bad_in_a_row) +
                  " steps in a row had a loss or gradient that is not finite (first tensor: " +
                  name + "); a lower optim.lr may help");
    }
    if (recipe.checkpoint.every_steps > 0 && state.step % recipe.checkpoint.every_steps == 0)
      save();
  }
  progress.finish();
  save();
  const int signal = stop.requested();
  const bool is_complete = state.step >= plan.total_steps;
  const auto& counts = state.counts;
  if (counts.dropped_over_length + counts.dropped_zero_label + counts.bad_records > 0) {
    log::warn("left out by the recipe's policies: " + readable_count(counts.dropped_over_length) +
              " too long, " + readable_count(counts.dropped_zero_label) + " without a target, " +
              readable_count(counts.bad_records) + " bad");
  }
  if (is_complete && counts.samples == 0) {
    throw DataError("data.sets: every sample was left out, so nothing was trained; " +
                    readable_count(counts.dropped_over_length) + " are over data.max_tokens " +
                    std::to_string(recipe.data.max_tokens) +
                    " (data.over_length: cut_text keeps them)");
  }
  if (!is_complete && signal == 0) {
    throw CheckpointError(run_dir.string() + ": the data ended after step " +
                          std::to_string(state.step) + " of " + std::to_string(plan.total_steps) +
                          "; the checkpoint does not fit it (--resume never starts anew)");
  }
  const std::string outcome =
      is_complete ? "finished" : "stopped at step " + std::to_string(state.step);
  if (is_complete) write_result(run_dir, recipe, run, state, table);
  write_report(run_dir, recipe, run, state, table, outcome, is_complete);
  if (is_complete) atomic_write(run_dir / "FINISHED", "");
  log::info(outcome + ": " + run_dir.string());
  return is_complete || signal == 0 ? 0 : 128 + signal;
}

void dry_run(const Recipe& recipe, const std::string& resume) {
  check_output(recipe.output);
  open_device(recipe.device);
  const auto checkpoint = choose_checkpoint(recipe, resume);
  auto run = open_run(recipe, false);
  const auto trainables = prepare_training(*run.model, recipe.train);
  data::Sampler sampler(run.source->sizes(), run.source->weights(), recipe.seed,
                        recipe.data.shuffle);
  const auto plan = make_plan(recipe, sampler.epoch_size());
  const RunState state = starting_state(recipe, *run.source, checkpoint);
  int64_t records = 0, tokens = 0, labels = 0, pictures = 0, dropped = 0, cut = 0;
  for (size_t s = 0; s < run.source->datasets().size(); ++s) {
    for (int64_t i = 0; i < run.source->datasets()[s].size(); ++i) {
      const auto prepared = run.source->prepare({static_cast<int32_t>(s), i}, false);
      ++records;
      cut += prepared.was_cut ? 1 : 0;
      pictures += prepared.sample.image_begin >= 0 ? 1 : 0;
      if (prepared.outcome != data::SampleSource::Outcome::kReady) {
        ++dropped;
        continue;
      }
      tokens += static_cast<int64_t>(prepared.sample.input_ids.size());
      labels += prepared.sample.num_label_tokens;
    }
  }
  const auto table = part_table(*run.model, recipe, trainables);
  int64_t total = 0, trainable = 0;
  for (const auto& row : table) {
    total += row.total;
    trainable += row.trainable;
  }
  if (dropped == records) {
    throw DataError("data.sets: all " + readable_count(records) +
                    " records are left out by the policies (data.over_length, data.zero_label)");
  }
  const double samples = static_cast<double>(std::max<int64_t>(1, records));
  const StepCost cost =
      step_cost(*run.model, recipe, trainable, total, static_cast<double>(tokens) / samples,
                static_cast<double>(labels) / samples, static_cast<double>(pictures) / samples);
  std::cout << part_text(table, trainables) << "parameters  " << readable_count(total)
            << ", of which " << readable_count(trainable) << " train\n"
            << "memory      "
            << readable_bytes(cost.base_bytes + cost.trained_bytes + cost.pass_bytes) << ": base "
            << readable_bytes(cost.base_bytes) << ", trained values, gradients and moments "
            << readable_bytes(cost.trained_bytes) << ", a device pass of "
            << readable_count(cost.pass_tokens) << " tokens about "
            << readable_bytes(cost.pass_bytes) << "; LibTorch itself is not counted\n"
            << "data        " << readable_count(records) << " records, " << readable_count(tokens)
            << " tokens, " << readable_count(labels) << " label tokens, " << readable_count(dropped)
            << " dropped by the policies, " << readable_count(cut) << " cut\n"
            << "run         " << readable_count(plan.total_steps) << " steps of "
            << recipe.batch.samples << " samples, " << readable_count(plan.epoch_size)
            << " samples an epoch\n"
            << (checkpoint ? "resume      " + checkpoint->string() + ", after step " +
                                 std::to_string(state.step) + "\n"
                           : std::string())
            << "work        about " << readable_short(cost.flops)
            << " floating-point operations a step\n";
}

}  // namespace finer
