#include "data/sampler.h"

#include "finer/core/error.h"
#include "finer/core/rng.h"

#include <cmath>
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
                 bool shuffle)
    : sizes_(std::move(sizes)), weights_(std::move(weights)), seed_(seed), shuffle_(shuffle) {
  FINER_CHECK(sizes_.size() == weights_.size(), "a weight for each set");
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

void Sampler::load_epoch(int64_t epoch) {
  std::vector<SampleRef> drawn;
  drawn.reserve(static_cast<size_t>(epoch_size_));
  for (size_t set = 0; set < sizes_.size(); ++set) {
    const auto id = static_cast<int32_t>(set);
    const Portion part = portion(sizes_[set], weights_[set]);
    for (int64_t round = 0; round < part.whole; ++round) {
      for (int64_t index = 0; index < sizes_[set]; ++index) drawn.push_back({id, index});
    }
    if (part.rest == 0) continue;
    const auto share = shuffle_ ? permutation(sizes_[set], draw_seed(seed_, epoch, 1 + set))
                                : std::vector<int64_t>{};
    for (int64_t i = 0; i < part.rest; ++i)
      drawn.push_back({id, shuffle_ ? share[static_cast<size_t>(i)] : i});
  }
  if (shuffle_) {
    Rng rng(draw_seed(seed_, epoch, 0));
    for (size_t i = drawn.size(); i > 1; --i) std::swap(drawn[i - 1], drawn[rng.below(i)]);
  }
  order_ = std::move(drawn);
  loaded_epoch_ = epoch;
}

}  // namespace finer::data
