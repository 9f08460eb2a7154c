#pragma once

#include <cstdint>
#include <vector>

namespace finer::data {

struct SampleRef {
  int32_t set = 0;
  int64_t index = 0;
};

/// Order of the samples of several weighted sets, epoch after epoch, a pure function of (sizes,
/// weights, seed, shuffle): any position is reached at once, so a resumed run need not read what it
/// skips.
///
/// An epoch holds each set floor(weight) times, and of the rest of the weight a share of its
/// samples, drawn anew each epoch. Without shuffle: file order, set after set; a share is then its
/// first samples.
class Sampler {
 public:
  Sampler(std::vector<int64_t> sizes, std::vector<double> weights, uint64_t seed, bool shuffle);

  /// Samples an epoch, the same for every epoch.
  int64_t epoch_size() const;
  /// The sample at a position counted from the start of the run (epoch = position / epoch_size()).
  SampleRef at(int64_t position);

 private:
  void load_epoch(int64_t epoch);

  std::vector<int64_t> sizes_;
  std::vector<double> weights_;
  uint64_t seed_;
  bool shuffle_;
  int64_t epoch_size_ = 0;
  int64_t loaded_epoch_ = -1;
  std::vector<SampleRef> order_;
};

}  // namespace finer::data
