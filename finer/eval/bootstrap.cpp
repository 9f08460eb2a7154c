#include "finer/eval/bootstrap.h"

#include "finer/core/error.h"
#include "finer/core/rng.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_map>
#include <utility>

namespace finer {
namespace {

// What is drawn: a cluster's sum of values and how many there are. Equal ones are drawn together.
struct DrawnUnit {
  double sum = 0;
  int64_t size = 0;
  int64_t copies = 0;
};

constexpr double kSmallMean = 10;  // below, a binomial number is found by going through 0, 1, ...
constexpr double kCostOfBinomial = 8;  // in single draws; measured at some 40 ns against 5

// Hormann, "The generation of binomial random variates" (1993), algorithm BTRS; p <= 0.5, n * p
// >= 10.
int64_t large_binomial(Rng& rng, int64_t n, double p) {
  const auto count = static_cast<double>(n);
  const double spread = std::sqrt(count * p * (1 - p));
  const double b = 1.15 + 2.53 * spread;
  const double a = -0.0873 + 0.0248 * b + 0.01 * p;
  const double centre = count * p + 0.5;
  const double alpha = (2.83 + 5.1 / b) * spread;
  const double v_r = 0.92 - 4.2 / b;
  const double log_odds = std::log(p / (1 - p));
  const double mode = std::floor((count + 1) * p);
  for (;;) {
    const double u = rng.uniform() - 0.5;
    double v = rng.uniform();
    const double us = 0.5 - std::fabs(u);
    const double k = std::floor((2 * a / us + b) * u + centre);
    if (k < 0 || k > count) continue;
    if (us >= 0.07 && v <= v_r) return static_cast<int64_t>(k);
    v = std::log(v * alpha / (a / (us * us) + b));
    const double bound = std::lgamma(mode + 1) + std::lgamma(count - mode + 1) -
                         std::lgamma(k + 1) - std::lgamma(count - k + 1) + (k - mode) * log_odds;
    if (v <= bound) return static_cast<int64_t>(k);
  }
}

int64_t small_binomial(Rng& rng, int64_t n, double p) {
  const double odds = p / (1 - p);
  double left = rng.uniform();
  double share = std::exp(static_cast<double>(n) * std::log1p(-p));
  for (int64_t k = 0; k < n; ++k) {
    if (left < share) return k;
    left -= share;
    share *= odds * static_cast<double>(n - k) / static_cast<double>(k + 1);
  }
  return n;
}

int64_t binomial(Rng& rng, int64_t n, double p) {
  if (n == 0 || p <= 0) return 0;
  if (p >= 1) return n;
  if (p > 0.5) return n - binomial(rng, n, 1 - p);
  return static_cast<double>(n) * p < kSmallMean ? small_binomial(rng, n, p)
                                                 : large_binomial(rng, n, p);
}

std::vector<DrawnUnit> drawn_units(const std::vector<double>& values,
                                   const std::vector<int64_t>& clusters) {
  // Summed in the order of the values, so that equal clusters have equal bits.
  std::vector<std::pair<double, int64_t>> sums;
  if (clusters.empty()) {
    for (const double value : values) sums.emplace_back(value, 1);
  } else {
    std::unordered_map<int64_t, size_t> places;
    for (size_t i = 0; i < values.size(); ++i) {
      const auto [place, is_new] = places.try_emplace(clusters[i], sums.size());
      if (is_new) sums.emplace_back(0.0, 0);
      sums[place->second].first += values[i];
      ++sums[place->second].second;
    }
  }
  std::map<std::pair<double, int64_t>, int64_t> copies;
  for (const auto& sum : sums) ++copies[sum];
  std::vector<DrawnUnit> units;
  for (const auto& [sum, count] : copies) units.push_back({sum.first, sum.second, count});
  // The most frequent first: what is left for the rare ones is soon nothing.
  std::stable_sort(units.begin(), units.end(),
                   [](const auto& a, const auto& b) { return a.copies > b.copies; });
  return units;
}

// Mean of one resample: how often each unit is drawn is multinomial, one binomial number after the
// other.
double mean_of_groups(Rng& rng, const std::vector<DrawnUnit>& units, int64_t num_units) {
  double sum = 0;
  int64_t size = 0, to_draw = num_units, copies_left = num_units;
  for (const auto& unit : units) {
    if (to_draw == 0) break;
    const int64_t times =
        unit.copies == copies_left
            ? to_draw
            : binomial(rng, to_draw,
                       static_cast<double>(unit.copies) / static_cast<double>(copies_left));
    sum += static_cast<double>(times) * unit.sum;
    size += times * unit.size;
    to_draw -= times;
    copies_left -= unit.copies;
  }
  return sum / static_cast<double>(size);
}

// The same, unit by unit: quicker where hardly two are equal.
double mean_of_singles(Rng& rng, const std::vector<std::pair<double, double>>& singles) {
  const uint64_t count = singles.size();
  double sum = 0, size = 0;
  const auto add = [&](uint64_t half) {
    // Bias of a 32-bit number: count / 2^32, far below what 10,000 resamples resolve.
    const auto& one = singles[static_cast<size_t>(half * count >> 32)];
    sum += one.first;
    size += one.second;
  };
  for (uint64_t i = 0; i + 1 < count; i += 2) {
    const uint64_t bits = rng.next();
    add(bits & 0xffffffffU);
    add(bits >> 32);
  }
  if (count % 2 == 1) add(rng.next() >> 32);
  return sum / size;
}

// Linear between the two nearest, as numpy.percentile's default.
double quantile(const std::vector<double>& sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - std::floor(place)) * (sorted[above] - sorted[below]);
}

}  // namespace

Interval bootstrap_mean(const std::vector<double>& values, const std::vector<int64_t>& clusters,
                        const BootstrapOptions& options) {
  FINER_CHECK(clusters.empty() || clusters.size() == values.size(), "a cluster for each value");
  FINER_CHECK(options.num_resamples > 0 && options.confidence > 0 && options.confidence < 1,
              "resamples, and a confidence between 0 and 1");
  if (values.empty()) return {};
  const auto units = drawn_units(values, clusters);
  double sum = 0;
  int64_t num_units = 0;
  for (const auto& unit : units) {
    sum += static_cast<double>(unit.copies) * unit.sum;
    num_units += unit.copies;
  }
  const double mean = sum / static_cast<double>(values.size());
  if (units.size() == 1) return {mean, mean, mean};

  Rng rng(mix_seed(options.seed, 0x626f6f74));
  std::vector<double> means(static_cast<size_t>(options.num_resamples));
  if (kCostOfBinomial * static_cast<double>(units.size()) < static_cast<double>(num_units)) {
    for (double& one : means) one = mean_of_groups(rng, units, num_units);
  } else {
    std::vector<std::pair<double, double>> singles;
    for (const auto& unit : units) {
      singles.insert(singles.end(), static_cast<size_t>(unit.copies),
                     {unit.sum, static_cast<double>(unit.size)});
    }
    for (double& one : means) one = mean_of_singles(rng, singles);
  }
  std::sort(means.begin(), means.end());
  const double tail = (1 - options.confidence) / 2;
  return {mean, quantile(means, tail), quantile(means, 1 - tail)};
}

Interval bootstrap_difference(const std::vector<double>& a, const std::vector<double>& b,
                              const std::vector<int64_t>& clusters,
                              const BootstrapOptions& options) {
  FINER_CHECK(a.size() == b.size(), "both models' scores of the same samples");
  std::vector<double> differences(a.size());
  for (size_t i = 0; i < a.size(); ++i) differences[i] = a[i] - b[i];
  return bootstrap_mean(differences, clusters, options);
}

}  // namespace finer
