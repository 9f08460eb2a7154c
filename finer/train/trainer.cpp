#include "finer/train/trainer.h"

#include "finer/core/atomic_file.h"
#include "finer/core/build_info.h"
#include "finer/core/error.h"
#include "finer/core/log.h"
#include "finer/model/save.h"
#include "finer/nn/device.h"
#include "finer/train/checkpoint.h"
#include "finer/train/eval_track.h"
#include "finer/train/memory_full.h"
#include "finer/train/metrics.h"
#include "finer/train/movement.h"
#include "finer/train/profile.h"
#include "finer/train/progress.h"
#include "finer/train/ranks.h"
#include "finer/train/readable.h"
#include "finer/train/resume.h"
#include "finer/train/run_lock.h"
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
    TrainedPart row{part, mode, 0, 0, base_lr(recipe.optim, part), 0, 0};
    model.visit_weights([&](const std::string& name, const at::Tensor& slot) {
      if (name.rfind(prefix, 0) == 0) row.total += slot.numel();
    });
    for (const auto& t : trainables) {
      if (t.part != part) continue;
      row.trainable += t.leaf.numel();
      if (takes_muon(recipe.optim, t)) row.by_muon += t.leaf.numel();
      if (t.is_adapter) row.total += t.leaf.numel();
    }
    if (row.by_muon > 0) row.muon_lr = muon_lr(recipe.optim, part);
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
        << std::setw(15) << readable_count(row.total) << " " << std::setw(9)
        << (row.trainable > 0 ? rate_text(row) : "-") << "\n";
  }
  return out.str();
}

bool has_picture(const data::StepBatch& batch) {
  return std::any_of(batch.passes.begin(), batch.passes.end(),
                     [](const auto& pass) { return pass.num_images > 0; });
}

// A run is worth more than its profile: a full disk costs the profile alone.
void tell_profile(StepProfile& profile, const fs::path& folder, int64_t step) {
  try {
    log::info(profile.finish(folder, step));
  } catch (const std::exception& error) {
    log::warn("log.profile_step: " + std::string(error.what()));
  }
}

// ranks: null in a run of one rank.
int train_as(const Recipe& recipe, const std::string& resume, Ranks* ranks, EvalHook* hook) {
  const bool is_first = !ranks || ranks->is_first();
  const auto tell = is_first ? log::info : log::debug;
  const fs::path run_dir = recipe.output;
  check_output(run_dir);
  RunLock lock;
  if (is_first && RunLock::is_known(run_dir)) lock.take(run_dir);
  std::optional<fs::path> checkpoint;
  if (is_first) checkpoint = choose_checkpoint(recipe, resume);
  if (ranks) checkpoint = ranks->same_checkpoint(checkpoint);
  if (checkpoint && is_finished(recipe, *checkpoint)) {
    tell("this run is finished: " + run_dir.string() + " (--resume never starts it anew)");
    if (ranks) ranks->leave();
    return 0;
  }
  RunSetup run;
  const Recipe own = ranks ? ranks->own_recipe(recipe) : recipe;
  const auto open = [&] { run = open_run(own, true); };
  if (ranks) {
    ranks->check_cards(own.device);
    ranks->load_in_turn(recipe.load.stagger, open);
  } else {
    open();
  }
  if (!checkpoint && !recipe.lora.init_from.empty()) {
    const at::NoGradGuard no_gradients;
    lora::fill_adapter(*run.model, recipe.lora.init_from);
    const auto other = lora::other_base(*run.model, recipe.lora.init_from);
    if (is_first && !other.empty()) log::warn("lora.init_from: " + other);
  }
  Optimizer optimizer(prepare_training(*run.model, recipe.train), recipe.optim);
  RunState state = starting_state(recipe, *run.source, checkpoint);
  if (checkpoint) load_checkpoint(*checkpoint, *run.model, optimizer);

  data::Sampler sampler(run.source->sizes(), run.source->weights(), recipe.seed,
                        recipe.data.shuffle, run.source->groups());
  const auto plan = make_plan(recipe, sampler.epoch_size());
  check_position(plan, recipe, state, checkpoint);
  const auto prepare_folder = [&] {
    const bool was_there = fs::exists(run_dir);
    lock.take(run_dir);
    if (resume == "never" && was_there) {
      move_aside(run_dir);
      lock.take(run_dir);
    }
    if (resume == "auto" && newest_checkpoint(run_dir) != checkpoint) {
      throw RecipeError("output: another process has written a checkpoint into " +
                        run_dir.string() + " meanwhile; start again to go on from it");
    }
    atomic_write(run_dir / "recipe.yaml", recipe_to_yaml(recipe));
  };
  if (ranks) {
    ranks->start(state, recipe, run.model->options().device(), optimizer.trainables());
    ranks->first_does("the run's folder", prepare_folder);
  } else {
    prepare_folder();
  }
  log::add_file(run_dir / "logs" / (ranks ? ranks->log_name() : "rank-0.log"));
  if (checkpoint && is_first) set_later_checkpoints_aside(run_dir, state.step);
  if (is_first) std::filesystem::remove(run_dir / "FINISHED");
  const auto table = part_table(*run.model, recipe, optimizer.trainables());
  tell(std::string("finer ") + FINER_VERSION + " (" + FINER_COMMIT + "), device " +
       device_name(run.model->options().device()) + ", " + std::to_string(plan.epoch_size) +
       " samples an epoch, " + std::to_string(plan.total_steps) + " steps, seed " +
       std::to_string(recipe.seed));
  if (ranks) tell(ranks->text());
  std::istringstream rows(part_text(table, optimizer.trainables()));
  for (std::string row; std::getline(rows, row);) tell(row);
  if (checkpoint) tell("going on from " + checkpoint->string());
  if (is_first && recipe.log.profile_step > 0 && recipe.log.profile_step <= state.step) {
    log::warn("log.profile_step: step " + std::to_string(recipe.log.profile_step) +
              " is behind the checkpoint, so none is profiled");
  }

  // Rank 0 alone writes about the run.
  std::optional<MetricsFile> metrics_file;
  std::optional<EventsFile> events;
  std::optional<Progress> progress;
  if (is_first) {
    metrics_file.emplace(run_dir / "metrics.jsonl", state.step);
    if (recipe.log.tensorboard) events.emplace(run_dir, state.step + 1);
    progress.emplace(state.step + 1, plan.total_steps, recipe.log.every_steps);
  }
  StopSignal stop(is_first);
  data::RankShare share;
  std::optional<StepRanks> step_ranks;
  if (ranks) {
    share = {ranks->group().rank(), ranks->group().size()};
    step_ranks.emplace(ranks->for_step());
  }
  data::Loader loader(*run.source, sampler, recipe.data, recipe.batch, state.step, state.position,
                      plan.last_position, state.counts, share);
  std::optional<LossScaler> scaler;
  if (recipe.model.dtype == "float16") {
    scaler.emplace();
    if (checkpoint) scaler->restore(state.scaler);
  }
  MovementCheck movement(*run.model, optimizer.trainables());
  if (ranks && recipe.has_eval) ranks->watch().mark(dist::Doing::kFiles, "opening eval's data");
  EvalTrack evaluation(recipe, hook, run, state.step, is_first,
                       ranks ? ranks->eval_share() : EvalShare{});
  int64_t bad_in_a_row = 0, saved_at = checkpoint ? state.step : -1;
  const auto save = [&] {
    if (saved_at == state.step || !is_first) return;
    if (ranks) ranks->watch().mark(dist::Doing::kFiles, "writing a checkpoint");
    metrics_file->sync();
    evaluation.sync();
    save_checkpoint(run_dir, state, recipe, *run.model, optimizer, recipe.checkpoint.keep);
    saved_at = state.step;
  };

  int signal = 0;  // with ranks, the one they have agreed on
  for (;;) {
    if (!ranks) signal = stop.requested();
    if (signal != 0 || evaluation.is_over()) break;
    const auto start = std::chrono::steady_clock::now();
    std::optional<data::StepBatch> batch;
    std::exception_ptr fault;
    try {
      batch = loader.next();
    } catch (const DataError&) {
      fault = std::current_exception();
    }
    bool had_picture = batch && has_picture(*batch);
    int64_t peak = 0;  // of the other ranks
    if (ranks) {
      const auto meeting =
          ranks->meet(batch ? &*batch : nullptr, fault != nullptr, stop.requested(),
                      peak_bytes(run.model->options().device()), recipe.data.max_bad_records);
      signal = meeting.signal;
      had_picture = meeting.has_picture;
      peak = meeting.peak_bytes;
      if (meeting.faulty_rank >= 0) {
        if (state.step > 0) save();
        ranks->wait_for_all("the checkpoint before the end");
        if (fault) std::rethrow_exception(fault);
        throw dist::LinkError("rank " + std::to_string(meeting.faulty_rank) + " has no samples");
      }
      if (signal != 0) break;
    }
    if (fault) {
      if (state.step > 0) save();  // what was learned before the broken sample stays
      std::rethrow_exception(fault);
    }
    if (!batch) break;
    const double factor = schedule_factor(recipe.optim, state.step, plan.total_steps);
    const bool is_empty = batch->label_weight == 0;
    std::optional<StepProfile> profile;
    if (is_first && recipe.log.profile_step == state.step + 1)
      profile.emplace(run.model->options().device());
    StepResult result{.loss = std::nan(""), .skipped = true};
    if (!is_empty) {
      try {
        result = train_step(*run.model, optimizer, *batch, recipe.loss, factor, recipe.seed,
                            scaler ? &*scaler : nullptr, step_ranks ? &*step_ranks : nullptr);
      } catch (const c10::OutOfMemoryError& error) {
        optimizer.zero_grad();
        if (state.step > 0 && !optimizer.is_updating()) save();
        throw Error(memory_full_text(*batch, recipe, peak_bytes(run.model->options().device()),
                                     error.what_without_backtrace()));
      }
    }
    if (profile) tell_profile(*profile, run_dir / "profile", state.step + 1);
    const bool is_update_visible = !result.skipped && factor > 0;
    if (is_update_visible) movement.after_update(optimizer, had_picture);
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
    m.peak_bytes = std::max(peak, peak_bytes(run.model->options().device()));
    m.skipped = result.skipped;
    if (metrics_file) metrics_file->write(m);
    if (events) events->write(m);
    if (progress) progress->update(m);
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
    if (ranks && recipe.has_eval) ranks->watch().mark(dist::Doing::kFiles, "an evaluation");
    try {
      evaluation.after_step(state.step, state.step == plan.total_steps);
    } catch (const c10::OutOfMemoryError&) {
      save();
      throw Error("eval: the device's memory is full in the evaluation after step " +
                  std::to_string(state.step) +
                  "; expected a smaller eval.batch or batch.device_tokens, or a card with more");
    }
    if (recipe.checkpoint.every_steps > 0 && state.step % recipe.checkpoint.every_steps == 0)
      save();
  }
  if (progress) progress->finish();
  save();
  const bool is_complete = state.step >= plan.total_steps || evaluation.is_over();
  if (ranks) {
    ranks->tell_traffic();
    ranks->leave();
    if (!is_first) return is_complete || signal == 0 ? 0 : 128 + signal;
  }
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

}  // namespace

int train(const Recipe& recipe, const std::string& resume, EvalHook* hook) {
  const auto launch = dist::read_launch();
  const auto body = [&](Ranks* ranks) {
    try {
      return train_as(recipe, resume, ranks, hook);
    } catch (const c10::OutOfMemoryError&) {
      throw Error(
          "device: its memory is full outside of a step; expected a card with more, a model.dtype "
          "of 16 bits, or less that trains (--dry-run prints a plan)");
    }
  };
  if (!launch.is_many()) return body(nullptr);
  Ranks ranks(launch, recipe);
  return ranks.run([&] { return body(&ranks); });
}

void dry_run(const Recipe& recipe, const std::string& resume, EvalHook* hook) {
  if (dist::read_launch().rank != 0) return;  // one rank's plan is every rank's
  check_output(recipe.output);
  open_device(recipe.device);
  const auto checkpoint = choose_checkpoint(recipe, resume);
  auto run = open_run(recipe, false);
  if (recipe.has_eval && hook != nullptr) hook->open(recipe, run);
  const auto trainables = prepare_training(*run.model, recipe.train);
  data::Sampler sampler(run.source->sizes(), run.source->weights(), recipe.seed,
                        recipe.data.shuffle, run.source->groups());
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
      step_cost(*run.model, recipe, trainables, total, static_cast<double>(tokens) / samples,
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
