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

// Seeds of an epoch's draws: 0 is the order, 1 + s the share of set s.
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
  }
  constexpr double kMostSamples = 1e10;  // an epoch's order is held in memory, 16 bytes a sample
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

Sampler::Members Sampler::members(size_t set) const {
  const auto& groups = groups_[set];
  Members out;
  const int64_t num_groups =
      groups.empty() ? sizes_[set] : *std::max_element(groups.begin(), groups.end()) + 1;
  out.samples.resize(static_cast<size_t>(sizes_[set]));
  std::iota(out.samples.begin(), out.samples.end(), int64_t{0});
  out.starts.resize(static_cast<size_t>(num_groups) + 1);
  std::iota(out.starts.begin(), out.starts.end(), int64_t{0});
  if (groups.empty()) return out;
  std::stable_sort(out.samples.begin(), out.samples.end(), [&](int64_t a, int64_t b) {
    return groups[static_cast<size_t>(a)] < groups[static_cast<size_t>(b)];
  });
  std::fill(out.starts.begin(), out.starts.end(), int64_t{0});
  for (const int64_t group : groups) ++out.starts[static_cast<size_t>(group) + 1];
  std::partial_sum(out.starts.begin(), out.starts.end(), out.starts.begin());
  return out;
}

void Sampler::load_epoch(int64_t epoch) {
  if (!shuffle_) {
    load_file_order();
    loaded_epoch_ = epoch;
    return;
  }
  struct Draw {  // samples of one group
    const int64_t* first;
    int32_t set, size;
  };
  std::vector<Members> sets;
  for (size_t set = 0; set < sizes_.size(); ++set) sets.push_back(members(set));
  std::vector<Draw> drawn;
  for (size_t set = 0; set < sizes_.size(); ++set) {
    const auto& [samples, starts] = sets[set];
    const auto num_groups = static_cast<int64_t>(starts.size()) - 1;
    const auto draw = [&, &samples = samples, &starts = starts](int64_t group, int64_t most) {
      const int64_t first = starts[static_cast<size_t>(group)];
      const int64_t size = std::min(most, starts[static_cast<size_t>(group) + 1] - first);
      drawn.push_back(
          {samples.data() + first, static_cast<int32_t>(set), static_cast<int32_t>(size)});
      return size;
    };
    const Portion part = portion(sizes_[set], weights_[set]);
    for (int64_t round = 0; round < part.whole; ++round) {
      for (int64_t group = 0; group < num_groups; ++group) draw(group, sizes_[set]);
    }
    if (part.rest == 0) continue;
    const auto share = permutation(num_groups, draw_seed(seed_, epoch, 1 + set));
    int64_t left = part.rest;
    for (size_t i = 0; left > 0; ++i) left -= draw(share[i], left);
  }
  Rng rng(draw_seed(seed_, epoch, 0));
  for (size_t i = drawn.size(); i > 1; --i) std::swap(drawn[i - 1], drawn[rng.below(i)]);
  order_.clear();
  order_.reserve(static_cast<size_t>(epoch_size_));
  for (const Draw& draw : drawn) {
    for (int32_t i = 0; i < draw.size; ++i) order_.push_back({draw.set, draw.first[i]});
  }
  loaded_epoch_ = epoch;
}

void Sampler::load_file_order() {
  order_.clear();
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
