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
/// Samples of one group are drawn together when shuffled, and follow each other in the order. The
/// last group of a share may be cut: from a place drawn anew, so that each sample has its chance.
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
  // A set's samples, group after group, and where each group begins (and the end). Empty for a set
  // without groups.
  struct Members {
    std::vector<int64_t> samples, starts;
  };
  // Of a share's last group: `size` of its samples from place `first` on, around its end.
  struct Cut {
    int64_t group = 0, first = 0, size = 0;
  };
  void load_epoch(int64_t epoch);
  void draw_order(int64_t epoch);
  void load_file_order();
  Members members_of(size_t set) const;
  int64_t num_groups(size_t set) const;
  int64_t group_size(size_t set, int64_t group) const;
  void expand_groups(const std::vector<Cut>& cuts);

  std::vector<int64_t> sizes_;
  std::vector<double> weights_;
  uint64_t seed_;
  bool shuffle_;
  std::vector<std::vector<int64_t>> groups_;
  std::vector<Members> members_;
  int64_t epoch_size_ = 0;
  int64_t loaded_epoch_ = -1;
  std::vector<SampleRef> order_;
};

}  // namespace finer::data
