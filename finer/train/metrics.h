#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace finer {

/// What one optimizer step measured, summed over all ranks. The names are the keys of
/// RUN/metrics.jsonl.
struct StepMetrics {
  int64_t step = 0;          // counted from 1
  double epoch = 0;          // share of the data seen after this step, 1.5 = one and a half passes
  double loss = 0;           // may be NaN or infinite on a skipped step
  double lr = 0;             // of the first parameter group
  double grad_norm = 0;      // before clipping
  int64_t samples = 0;       // of this step
  int64_t tokens = 0;        // of this step, image positions counted
  int64_t label_tokens = 0;  // of this step, the loss's targets
  double seconds = 0;        // wall time of this step, data_wait included
  double data_wait = 0;      // seconds the slowest rank waited for its samples
  int64_t peak_bytes = 0;    // most memory held so far: of the device, or of the process on CPU
  bool skipped = false;      // gradients were not finite: no update was made

  double tokens_per_s() const { return seconds > 0 ? static_cast<double>(tokens) / seconds : 0; }
  double samples_per_s() const { return seconds > 0 ? static_cast<double>(samples) / seconds : 0; }
  double data_wait_share() const { return seconds > 0 ? data_wait / seconds : 0; }
};

/// One JSON object without newline. Numbers come back bit for bit; JSON has no NaN and no infinity,
/// so such a number is null and KEY_text says which: {"loss":null,"loss_text":"nan"}. `skipped` is
/// there when true.
std::string metrics_to_json(const StepMetrics& metrics);

/// Throws: Error with the reason (not JSON, a key missing, of another type or out of range).
StepMetrics metrics_from_json(std::string_view line);

/// All steps of a metrics.jsonl, in order. A last line cut short by a crash is left out.
/// Throws: Error "FILE:LINE: reason" for any other line, and when steps do not ascend.
std::vector<StepMetrics> read_metrics(const std::filesystem::path& file);

/// RUN/metrics.jsonl, a line a step; each line is handed to the system whole, so `tail -f` sees no
/// halves.
///
/// Threads: one. Only rank 0 has one.
class MetricsFile {
 public:
  /// last_step: the checkpoint's step when the run goes on, 0 when it begins. Lines after it, and a
  /// last line cut short, are removed (atomically): a resumed run's file then has each step once.
  /// Throws: Error as read_metrics, and with errno's text.
  MetricsFile(std::filesystem::path file, int64_t last_step);
  ~MetricsFile();
  MetricsFile(const MetricsFile&) = delete;
  MetricsFile& operator=(const MetricsFile&) = delete;

  /// Throws: Error with the file and errno's text.
  void write(const StepMetrics& metrics);

  /// fsync. Before a checkpoint is marked complete, so that its steps are not lost with the power.
  void sync();

 private:
  std::filesystem::path file_;
  int fd_ = -1;
};

}  // namespace finer
