#include "data/sampler.h"

#include "finer/core/error.h"
#include "finer/core/rng.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>

namespace finer::data {

namespace {

// Stands in the order for the group of its set that is cut.
constexpr int64_t kCut = -1;

// Seeds of an epoch's draws: 0 is the order, 1 + s the share of set s, 1 + sets + s the place where
// that share's last group is cut.
uint64_t draw_seed(uint64_t seed, int64_t epoch, uint64_t draw) {
  return mix_seed(mix_seed(seed, static_cast<uint64_t>(epoch)), draw);
}

struct Portion {
  int64_t whole = 0;  // times the set is taken as a whole
  int64_t rest = 0;   // samples of the share on top
};

Portion portion(int64_t size, double weight) {
  const double whole = std::floor(weight);
  return {static_cast<int64_t>(whole), std::llround((weight - whole) * static_cast<double>(size))};
}

}  // namespace

Sampler::Sampler(std::vector<int64_t> sizes, std::vector<double> weights, uint64_t seed,
                 bool shuffle, std::vector<std::vector<int64_t>> groups)
    : sizes_(std::move(sizes)),
      weights_(std::move(weights)),
      seed_(seed),
      shuffle_(shuffle),
      groups_(std::move(groups)) {
  FINER_CHECK(sizes_.size() == weights_.size(), "a weight for each set");
  groups_.resize(sizes_.size());
  for (size_t set = 0; set < sizes_.size(); ++set) {
    const auto n = static_cast<int64_t>(groups_[set].size());
    FINER_CHECK(n == 0 || n == sizes_[set], "a group for each sample of a set, or none");
    members_.push_back(members_of(set));
  }
  // An epoch's order is held in memory, 16 bytes a sample; drawing one takes up to 24 more.
  constexpr double kMostSamples = 1e10;
  double total = 0;
  for (size_t set = 0; set < sizes_.size(); ++set) {
    const double weight = weights_[set];
    const std::string key = "data.sets[" + std::to_string(set) + "].weight";
    if (!std::isfinite(weight) || weight < 0) {
      throw RecipeError(key + ": " + std::to_string(weight) +
                        " is not a share; expected 0 or more");
    }
    total += weight * static_cast<double>(sizes_[set]);
    if (total > kMostSamples || weight > kMostSamples) {
      throw RecipeError(key + ": " + std::to_string(weight) +
                        " makes an epoch of more than 1e10 samples");
    }
    const Portion part = portion(sizes_[set], weight);
    epoch_size_ += part.whole * sizes_[set] + part.rest;
  }
  if (epoch_size_ == 0) {
    throw RecipeError(
        "data.sets: an epoch holds no sample; expected sets with records and weights above 0");
  }
}

int64_t Sampler::epoch_size() const { return epoch_size_; }

SampleRef Sampler::at(int64_t position) {
  FINER_CHECK(position >= 0, "a position from 0 on");
  const int64_t epoch = position / epoch_size_;
  if (epoch != loaded_epoch_) load_epoch(epoch);
  return order_[static_cast<size_t>(position % epoch_size_)];
}

bool Sampler::same_group(const SampleRef& a, const SampleRef& b) const {
  const auto& groups = groups_[static_cast<size_t>(a.set)];
  if (a.set != b.set || groups.empty()) return false;
  return groups[static_cast<size_t>(a.index)] == groups[static_cast<size_t>(b.index)];
}

Sampler::Members Sampler::members_of(size_t set) const {
  const auto& groups = groups_[set];
  Members out;
  if (groups.empty()) return out;
  out.samples.resize(groups.size());
  std::iota(out.samples.begin(), out.samples.end(), int64_t{0});
  std::stable_sort(out.samples.begin(), out.samples.end(), [&](int64_t a, int64_t b) {
    return groups[static_cast<size_t>(a)] < groups[static_cast<size_t>(b)];
  });
  const int64_t most = *std::max_element(groups.begin(), groups.end());
  out.starts.assign(static_cast<size_t>(most) + 2, 0);
  for (const int64_t group : groups) ++out.starts[static_cast<size_t>(group) + 1];
  std::partial_sum(out.starts.begin(), out.starts.end(), out.starts.begin());
  return out;
}

int64_t Sampler::num_groups(size_t set) const {
  const auto& starts = members_[set].starts;
  return starts.empty() ? sizes_[set] : static_cast<int64_t>(starts.size()) - 1;
}

int64_t Sampler::group_size(size_t set, int64_t group) const {
  const auto& starts = members_[set].starts;
  if (starts.empty()) return 1;
  return starts[static_cast<size_t>(group) + 1] - starts[static_cast<size_t>(group)];
}

void Sampler::load_epoch(int64_t epoch) {
  loaded_epoch_ = -1;  // until all is there: memory may run out on the way
  order_.clear();
  if (shuffle_) {
    draw_order(epoch);
  } else {
    load_file_order();
  }
  loaded_epoch_ = epoch;
}

// Groups are drawn in the place of samples, and then give way to theirs.
void Sampler::draw_order(int64_t epoch) {
  order_.reserve(static_cast<size_t>(epoch_size_));
  std::vector<Cut> cuts(sizes_.size());
  for (size_t set = 0; set < sizes_.size(); ++set) {
    const auto id = static_cast<int32_t>(set);
    const Portion part = portion(sizes_[set], weights_[set]);
    for (int64_t round = 0; round < part.whole; ++round) {
      for (int64_t group = 0; group < num_groups(set); ++group) order_.push_back({id, group});
    }
    if (part.rest == 0) continue;
    const auto share = permutation(num_groups(set), draw_seed(seed_, epoch, 1 + set));
    int64_t left = part.rest;
    for (size_t i = 0; left > 0; ++i) {
      const int64_t size = group_size(set, share[i]);
      order_.push_back({id, size <= left ? share[i] : kCut});
      if (size > left) {
        Rng rng(draw_seed(seed_, epoch, 1 + sizes_.size() + set));
        cuts[set] = {share[i], static_cast<int64_t>(rng.below(static_cast<uint64_t>(size))), left};
      }
      left -= size;
    }
  }
  Rng rng(draw_seed(seed_, epoch, 0));
  for (size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[rng.below(i)]);
  const auto has_groups = [](const Members& members) { return !members.starts.empty(); };
  if (std::any_of(members_.begin(), members_.end(), has_groups)) expand_groups(cuts);
}

void Sampler::expand_groups(const std::vector<Cut>& cuts) {
  std::vector<SampleRef> samples;
  samples.reserve(static_cast<size_t>(epoch_size_));
  for (const auto& [id, group] : order_) {
    const auto set = static_cast<size_t>(id);
    const auto& members = members_[set];
    if (members.starts.empty()) {
      samples.push_back({id, group});
      continue;
    }
    const Cut taken = group == kCut ? cuts[set] : Cut{group, 0, group_size(set, group)};
    const int64_t begin = members.starts[static_cast<size_t>(taken.group)];
    const int64_t size = group_size(set, taken.group);
    for (int64_t i = 0; i < taken.size; ++i) {
      const int64_t place = begin + (taken.first + i) % size;
      samples.push_back({id, members.samples[static_cast<size_t>(place)]});
    }
  }
  order_ = std::move(samples);
}

void Sampler::load_file_order() {
  for (size_t set = 0; set < sizes_.size(); ++set) {
    const auto id = static_cast<int32_t>(set);
    const Portion part = portion(sizes_[set], weights_[set]);
    for (int64_t round = 0; round < part.whole; ++round) {
      for (int64_t index = 0; index < sizes_[set]; ++index) order_.push_back({id, index});
    }
    for (int64_t index = 0; index < part.rest; ++index) order_.push_back({id, index});
  }
}

}  // namespace finer::data
