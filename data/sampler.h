#pragma once

#include <cstddef>
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
///
/// Samples of one group are drawn together when shuffled, and follow each other in the order (but
/// for the last group of a share, which may be cut).
class Sampler {
 public:
  /// groups  for each set the group of each sample, numbered from 0 in the order in which they
  ///         begin; none, or an empty one for a set: each sample is its own
  Sampler(std::vector<int64_t> sizes, std::vector<double> weights, uint64_t seed, bool shuffle,
          std::vector<std::vector<int64_t>> groups = {});

  /// Samples an epoch, the same for every epoch.
  int64_t epoch_size() const;
  /// The sample at a position counted from the start of the run (epoch = position / epoch_size()).
  SampleRef at(int64_t position);
  /// false for samples of a set without groups.
  bool same_group(const SampleRef& a, const SampleRef& b) const;

 private:
  // A set's samples, group after group, and where each group begins (and the end).
  struct Members {
    std::vector<int64_t> samples, starts;
  };
  void load_epoch(int64_t epoch);
  void load_file_order();
  Members members(size_t set) const;

  std::vector<int64_t> sizes_;
  std::vector<double> weights_;
  uint64_t seed_;
  bool shuffle_;
  std::vector<std::vector<int64_t>> groups_;
  int64_t epoch_size_ = 0;
  int64_t loaded_epoch_ = -1;
  std::vector<SampleRef> order_;
};

}  // namespace finer::data
