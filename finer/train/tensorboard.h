#pragma once

#include "finer/train/metrics.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace finer {

/// CRC-32C (Castagnoli). Source: RFC 3720, B.4, which has the test vectors.
uint32_t crc32c(std::string_view bytes);

/// The checksum as TFRecord files hold it: rotated and shifted, because a checksum over bytes that
/// hold their own checksum is weak.
uint32_t masked_crc32c(std::string_view bytes);

/// RUN/events.out.tfevents.SECONDS.HOST.PID: loss, lr, grad_norm and tokens_per_s for TensorBoard.
///
/// Each start of a run begins a new file; TensorBoard reads a folder's files in the order of their
/// names as one. A run that goes on from a checkpoint may repeat steps that an earlier file already
/// has: the new file then begins with SessionLog START at its first step, upon which TensorBoard
/// drops all points from that step on. Threads: one. Only rank 0 has one. Source: TensorFlow's
/// event.proto, summary.proto and the TFRecord description, as formats.
class EventsFile {
 public:
  /// first_step: the step that comes next, 1 in a new run.
  /// Throws: Error with the file and errno's text.
  EventsFile(const std::filesystem::path& run_dir, int64_t first_step);
  ~EventsFile();
  EventsFile(const EventsFile&) = delete;
  EventsFile& operator=(const EventsFile&) = delete;

  /// Handed to the system at once. Throws: Error with the file and errno's text.
  void write(const StepMetrics& metrics);

  const std::filesystem::path& path() const { return path_; }

 private:
  void write_record(std::string_view event);

  std::filesystem::path path_;
  int fd_ = -1;
};

}  // namespace finer
