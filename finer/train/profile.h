#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace finer {

/// What took how long in one profiled step.
struct ProfiledOp {
  std::string name;     // of a kernel on CUDA, of an operator on the CPU
  int64_t count = 0;    // calls
  int64_t self_ns = 0;  // without what it called
};

/// One optimizer step under LibTorch's profiler: every operator, and on CUDA every kernel and copy.
///
/// The step itself becomes slower by what recording and writing cost (its metrics say so too); no
/// value changes. LibTorch has one profiler a process: one of these at a time. Threads: the one
/// that trains; work that the backward pass does on LibTorch's threads is seen.
class StepProfile {
 public:
  /// Starts recording.
  explicit StepProfile(at::Device device);
  ~StepProfile();  // stops and throws away what finish() has not written
  StepProfile(const StepProfile&) = delete;
  StepProfile& operator=(const StepProfile&) = delete;

  /// Waits for the device, stops, writes FOLDER/step-N.json (Chrome's trace format, for
  /// ui.perfetto.dev) and FOLDER/step-N.txt (profile_text). Returns
  /// the text's file and first line.
  /// Throws: Error where a file cannot be written.
  std::string finish(const std::filesystem::path& folder, int64_t step);

 private:
  at::Device device_;
  int64_t began_ns_ = 0;
  bool is_on_ = false;
};

/// Most expensive first: a line of totals, then name, calls, milliseconds, share of `wall_ns`, at
/// most `rows` lines.
std::string profile_text(std::vector<ProfiledOp> ops, int64_t wall_ns, size_t rows);

}  // namespace finer
