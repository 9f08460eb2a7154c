#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/config.h"
#include "data/dataset.h"
#include "data/pack.h"
#include "data/sampler.h"
#include "finer/image/preprocess.h"
#include "finer/text/tokenizer.h"

namespace finer::data {

/// What the model asks of its input.
struct InputSpec {
  PreprocessConfig preprocess;
  int64_t image_positions = 0;  // P, features a picture; 0: text-only model
};

/// Counts over everything a loader has prepared (and the trainer has taken).
struct LoaderCounts {
  int64_t samples = 0;
  int64_t dropped_over_length = 0;
  int64_t cut = 0;
  int64_t dropped_zero_label = 0;
  int64_t bad_records = 0;
};

/// One optimizer step: its device passes, in order.
struct StepBatch {
  int64_t step = 0;
  int64_t first_position = 0;  // sampler position of its first sample
  int64_t next_position = 0;   // where the next step starts: the cursor of a checkpoint
  std::vector<PackedBatch> passes;
  int64_t num_samples = 0;
  int64_t num_tokens = 0;
  int64_t num_label_tokens = 0;
  double label_weight = 0;
  double wait_s = 0;           // how long the trainer waited for it
  LoaderCounts counts;         // totals up to and including this step
};

/// Opens the sets, and turns one sample after the other into ReadySample.
///
/// Threads: prepare() is const and may be called from many threads.
class SampleSource {
 public:
  /// Throws: DataError / RecipeError naming the set's path.
  SampleSource(const DataConfig& config, const Tokenizer& tokenizer, const InputSpec& spec);

  const std::vector<Dataset>& datasets() const { return datasets_; }
  std::vector<int64_t> sizes() const;
  std::vector<double> weights() const;

  enum class Outcome { kReady, kOverLength, kZeroLabel, kBad };
  struct Prepared {
    Outcome outcome = Outcome::kReady;
    bool was_cut = false;
    ReadySample sample;
    std::string reason;  // of kBad: the whole line, with file and index
  };
  /// with_pixels = false: reads only the picture's header (dry run, lengths).
  /// Throws: DataError where the policies say stop/error.
  Prepared prepare(const SampleRef& ref, bool with_pixels = true) const;

  /// The record and its tokens, untouched by length limits (finer-data inspect).
  Sample record(const SampleRef& ref) const;

 private:
  DataConfig config_;
  const Tokenizer& tokenizer_;
  InputSpec spec_;
  ConversationKind conversation_;
  ImageAspect aspect_;
  std::vector<Dataset> datasets_;
};

/// Prepares optimizer steps ahead of the trainer in `workers` threads. The result is a pure function of the
/// configs, the seed and the position: neither the number of threads nor their timing changes it.
class Loader {
 public:
  /// first_position: cursor of a checkpoint, 0 at the start. last_position: end of the run (exclusive).
  /// A step never crosses the end of an epoch (as transformers with drop_last = false).
  Loader(const SampleSource& source, Sampler sampler, const DataConfig& data, const BatchConfig& batch,
         int64_t first_step, int64_t first_position, int64_t last_position, LoaderCounts counts = {});
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// The next step, or an empty optional at the end. Rethrows what a worker threw (DataError), in sample order.
  std::optional<StepBatch> next();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace finer::data
