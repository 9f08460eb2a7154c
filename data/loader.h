#pragma once

#include "data/config.h"
#include "data/dataset.h"
#include "data/pack.h"
#include "data/sampler.h"
#include "finer/image/preprocess.h"
#include "finer/text/tokenizer.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace finer::data {

/// What the model asks of its input.
struct InputSpec {
  PreprocessConfig preprocess;
  int64_t image_positions = 0;  // P, features a picture; 0: text-only model
  int64_t image_side_px = 0;    // the encoder's side, which pixels are held against; 0: not checked
};

/// Counts over every step that next() has given out: a checkpoint keeps them.
struct LoaderCounts {
  int64_t samples = 0;  // that were packed; the four below but `cut` were not
  int64_t dropped_over_length = 0;
  int64_t cut = 0;
  int64_t dropped_zero_label = 0;
  int64_t bad_records = 0;
};

/// One optimizer step: its device passes, in order.
///
/// Samples that are dropped or skipped leave the step smaller; nothing moves up from the next step,
/// so that the position of a step does not depend on what the files hold. A step that loses all of
/// its samples has no passes, num_samples = 0 and label_weight = 0: the trainer passes over it
/// without touching the weights.
struct StepBatch {
  int64_t step = 0;
  int64_t first_position = 0;       // sampler position of its first sample
  int64_t next_position = 0;        // where the next step starts: the cursor of a checkpoint
  std::vector<PackedBatch> passes;  // this rank's
  int64_t num_passes = 0;           // over all ranks; as all that follows but wait_s and counts ...
  int64_t first_pass = 0;           // ... once the trainer has asked the others: this rank's first
  int64_t num_samples = 0;          // in its passes
  int64_t num_tokens = 0;           // image positions counted
  int64_t num_label_tokens = 0;     // targets after the shift
  double label_weight = 0;  // targets times their set's loss weight: the divisor of the loss
  double wait_s = 0;        // how long next() took: what the trainer waited for it
  LoaderCounts counts;      // totals up to and including this step
};

/// Which part of each step a rank prepares: samples are dealt out by their number of tokens, so
/// that all ranks have about the same work (data/share.h). Counts are of the rank's own samples.
struct RankShare {
  int rank = 0;
  int size = 1;
};

/// Opens the sets, and turns one sample after the other into ReadySample.
///
/// A bad record is one that cannot be parsed or tokenized, whose picture is missing, broken or
/// outside the images folder, or that over_length: error or zero_label: error name. on_bad_record:
/// stop throws it, skip gives it back as kBad. Keeps a reference to the tokenizer.
///
/// Threads: prepare() is const and may be called from many threads.
class SampleSource {
 public:
  /// Throws: DataError / RecipeError naming the set's path.
  SampleSource(const DataConfig& config, const Tokenizer& tokenizer, const InputSpec& spec);

  const std::vector<Dataset>& datasets() const { return datasets_; }
  std::vector<int64_t> sizes() const;
  std::vector<double> weights() const;
  /// What stays together in the order, data.picture_group: for Sampler.
  std::vector<std::vector<int64_t>> groups() const;

  enum class Outcome { kReady, kOverLength, kZeroLabel, kBad };
  struct Prepared {
    Outcome outcome = Outcome::kReady;
    bool was_cut = false;
    ReadySample sample;
    std::string reason;  // of kBad: the whole line, with file and index
  };
  /// with_pixels = false: reads only the picture's header (dry run, lengths, a picture that the
  /// sample before it brings).
  /// Throws: DataError where the policies say stop/error.
  Prepared prepare(const SampleRef& ref, bool with_pixels = true) const;

  /// How the turns of a sample's set become text.
  ConversationKind conversation(const SampleRef& ref) const {
    return conversations_.at(static_cast<size_t>(ref.set));
  }
  /// About how many tokens prepare() gives, image positions counted, without a look at the picture;
  /// 0 for a sample that it drops or refuses. Throws nothing that a record can cause.
  int64_t num_tokens(const SampleRef& ref) const;
  /// P, features a picture.
  int64_t image_positions() const { return spec_.image_positions; }

  /// The record as it is in the file (finer-data inspect). Throws: DataError "FILE: record I (id
  /// X): reason".
  Sample record(const SampleRef& ref) const;
  /// The record's ids and labels before the image mark is widened and lengths are limited. Throws:
  /// as record().
  TokenizedSample tokens(const SampleRef& ref, const Sample& sample) const;
  /// Where the record's picture is. Throws: as record().
  std::filesystem::path image_path(const SampleRef& ref, const Sample& sample) const;

 private:
  Prepared prepare_or_throw(const SampleRef& ref, bool with_pixels) const;

  DataConfig config_;
  const Tokenizer& tokenizer_;
  InputSpec spec_;
  std::vector<ConversationKind> conversations_;  // of each set
  ImageAspect aspect_;
  OverLength over_length_;
  std::vector<Dataset> datasets_;
};

/// Prepares optimizer steps ahead of the trainer in `workers` threads. The result is a pure
/// function of the configs, the seed and the position: neither the number of threads nor their
/// timing changes it. With workers = 0 each step is prepared in next(). At most `prefetch_steps`
/// steps are held at a time, the one being waited for included. The destructor may be called at any
/// moment; it waits for the samples that are being prepared.
///
/// Threads: next() and the destructor belong to one thread. The source outlives the loader.
class Loader {
 public:
  /// first_position: cursor of a checkpoint, 0 at the start. last_position: end of the run
  /// (exclusive). A step never crosses the end of an epoch (as transformers with drop_last =
  /// false).
  Loader(const SampleSource& source, Sampler sampler, const DataConfig& data,
         const BatchConfig& batch, int64_t first_step, int64_t first_position,
         int64_t last_position, LoaderCounts counts = {}, RankShare share = {});
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// The next step, or an empty optional at the end. Rethrows what a worker threw (DataError) for
  /// the first sample, in order, that failed, at its step, and again at every later call; pictures
  /// that are read late, since the sample that was to bring them fell out, fail after the others.
  /// Logs a warning for each record that on_bad_record: skip leaves out. Throws: DataError once
  /// there are more than max_bad_records of them.
  std::optional<StepBatch> next();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace finer::data
