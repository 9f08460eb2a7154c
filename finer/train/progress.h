#pragma once

#include "finer/train/metrics.h"

#include <chrono>
#include <cstdint>
#include <string>

namespace finer {

/// One progress line: step, loss, lr, tokens/s, share of the time spent waiting for data, time
/// left.
///
/// columns: most characters it may take; 0: no limit and no bar. A narrow terminal loses first the
/// bar's length, then the bar, then the fields that matter least; step and loss stay. eta_s:
/// seconds left; below 0: not known yet. has_color: the bar's done part is coloured.
std::string progress_line(const StepMetrics& metrics, int64_t total_steps, double eta_s,
                          int columns, bool has_color);

/// Progress on standard error: a bar redrawn in place on a terminal, plain lines elsewhere and in
/// CI.
///
/// Plain lines come every `every_steps` steps, after 10 seconds without one, and at the first and
/// last step. The bar is drawn at most ten times a second. Lines of finer/core/log.h appear above
/// it. Threads: one. Only rank 0 has one.
class Progress {
 public:
  /// first_step: the step that comes next, 1 in a new run.
  Progress(int64_t first_step, int64_t total_steps, int64_t every_steps);
  ~Progress();  // as finish()
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(const StepMetrics& metrics);

  /// Leaves the last bar standing as a line.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  double eta_s(int64_t step, Clock::time_point now);

  int64_t first_step_;
  int64_t total_steps_;
  int64_t every_steps_;
  bool is_live_;
  bool has_shown_ = false;
  Clock::time_point last_update_;
  Clock::time_point last_shown_;
  double step_seconds_ = 0;  // running mean of the time between updates, checkpoints included
  double step_weight_ = 0;
  StepMetrics last_;
};

}  // namespace finer
