#include "finer/eval/bootstrap.h"

#include <catch2/catch.hpp>

#include <chrono>
#include <cmath>

namespace {

// 0/1 values of which `num_ones` are 1.
std::vector<double> shares(size_t count, size_t num_ones) {
  std::vector<double> values(count, 0);
  for (size_t i = 0; i < num_ones; ++i) values[i * count / num_ones] = 1;
  return values;
}

double width(const finer::Interval& interval) { return interval.high - interval.low; }

// What a slow bootstrap that draws cluster by cluster with any generator finds, by the normal
// approximation it tends to: 1.96 standard errors to either side.
double normal_width(const std::vector<double>& units) {
  double sum = 0, square = 0;
  for (const double unit : units) {
    sum += unit;
    square += unit * unit;
  }
  const auto count = static_cast<double>(units.size());
  return 2 * 1.959964 * std::sqrt((square / count - sum * sum / count / count) / count);
}

}  // namespace

TEST_CASE("the interval of a share is the binomial one", "[eval]") {
  const auto values = shares(400, 100);
  const auto interval = finer::bootstrap_mean(values);
  CHECK(interval.mean == Approx(0.25));
  // the 2.5 % and 97.5 % quantiles of Binomial(400, 0.25), summed up exactly: 83 and 117
  CHECK(interval.low == Approx(83.0 / 400).margin(0.0026));
  CHECK(interval.high == Approx(117.0 / 400).margin(0.0026));
}

TEST_CASE("the same seed gives the same interval, another seed nearly the same", "[eval]") {
  const auto values = shares(300, 77);
  finer::BootstrapOptions one, other;
  one.seed = 1;
  other.seed = 2;
  const auto a = finer::bootstrap_mean(values, {}, one);
  const auto b = finer::bootstrap_mean(values, {}, one);
  const auto c = finer::bootstrap_mean(values, {}, other);
  CHECK(a.low == b.low);
  CHECK(a.high == b.high);
  CHECK(c.low == Approx(a.low).margin(0.01));
  CHECK(c.high == Approx(a.high).margin(0.01));
}

TEST_CASE("equal units drawn together and single draws give the same interval", "[eval]") {
  std::vector<double> few, many;  // the second has no two equal values, and nearly the same ones
  for (int i = 0; i < 500; ++i) {
    few.push_back(static_cast<double>(i % 5) / 4);
    many.push_back(few.back() + 1e-9 * i);
  }
  const auto grouped = finer::bootstrap_mean(few), single = finer::bootstrap_mean(many);
  CHECK(width(grouped) == Approx(normal_width(few)).epsilon(0.03));
  CHECK(width(single) == Approx(normal_width(many)).epsilon(0.03));
  CHECK(grouped.low == Approx(single.low).margin(0.003));
}

TEST_CASE("pictures of one concept are drawn together", "[eval]") {
  // 27 concepts of 10 pictures, each concept all right or all wrong
  std::vector<double> values, concept_means;
  std::vector<int64_t> clusters;
  for (int64_t c = 0; c < 27; ++c) {
    concept_means.push_back(c % 4 == 0 ? 0 : 1);
    for (int i = 0; i < 10; ++i) {
      values.push_back(concept_means.back());
      clusters.push_back(100 - c);
    }
  }
  const auto by_concept = finer::bootstrap_mean(values, clusters);
  const auto by_picture = finer::bootstrap_mean(values);
  CHECK(by_concept.mean == by_picture.mean);
  CHECK(width(by_concept) == Approx(normal_width(concept_means)).epsilon(0.08));
  CHECK(width(by_concept) > 2.5 * width(by_picture));
}

TEST_CASE("clusters of different size weigh by their pictures", "[eval]") {
  // one concept of 90 right pictures, nine of one wrong one: the mean is 90 / 99 unless it is not
  // drawn
  std::vector<double> values(90, 1.0);
  std::vector<int64_t> clusters(90, 0);
  for (int64_t c = 1; c <= 9; ++c) {
    values.push_back(0);
    clusters.push_back(c);
  }
  const auto interval = finer::bootstrap_mean(values, clusters);
  CHECK(interval.mean == Approx(90.0 / 99));
  CHECK(interval.low == 0);     // not drawn with probability 0.9^10 = 0.35
  CHECK(interval.high > 0.97);  // drawn three times: 270 / 277
}

TEST_CASE("the difference is paired: what both get wrong does not blur it", "[eval]") {
  std::vector<double> a, b;
  for (int i = 0; i < 1000; ++i) {
    b.push_back(i % 2);
    a.push_back(i % 2 == 1 || i % 10 == 0 ? 1 : 0);  // a tenth more is right
  }
  const auto difference = finer::bootstrap_difference(a, b);
  CHECK(difference.mean == Approx(0.1));
  CHECK(difference.low > 0.08);
  CHECK(difference.high < 0.12);
  const auto none = finer::bootstrap_difference(a, a);
  CHECK(none.low == 0);
  CHECK(none.high == 0);
  CHECK_THROWS_AS(finer::bootstrap_difference(a, {1.0}), std::logic_error);
}

TEST_CASE("a 95 % interval holds the truth about 95 times of 100", "[eval]") {
  // Values of a fixed pseudo-random sequence, 40 concepts of 5 pictures; the truth is 0.5.
  uint64_t state = 12345;
  const auto uniform = [&] {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<double>(state >> 11) * 0x1.0p-53;
  };
  int num_held = 0;
  for (int trial = 0; trial < 300; ++trial) {
    std::vector<double> values;
    std::vector<int64_t> clusters;
    for (int64_t c = 0; c < 40; ++c) {
      const double p = uniform();
      for (int i = 0; i < 5; ++i) {
        values.push_back(uniform() < p ? 1 : 0);
        clusters.push_back(c);
      }
    }
    finer::BootstrapOptions options;
    options.num_resamples = 1000;
    options.seed = static_cast<uint64_t>(trial);
    const auto interval = finer::bootstrap_mean(values, clusters, options);
    if (interval.low <= 0.5 && interval.high >= 0.5) ++num_held;
  }
  CHECK(num_held > 270);
  CHECK(num_held < 297);
}

TEST_CASE("no value, one value and one cluster have no width", "[eval]") {
  CHECK(finer::bootstrap_mean({}).high == 0);
  CHECK(finer::bootstrap_mean({0.3}).low == 0.3);
  const auto one = finer::bootstrap_mean({0, 1, 1}, {7, 7, 7});
  CHECK(one.low == one.high);
  CHECK_THROWS_AS(finer::bootstrap_mean({1, 2}, {1}), std::logic_error);
}

TEST_CASE("10,000 resamples of 30,000 samples take well under a second", "[eval]") {
  std::vector<double> em, f1;
  std::vector<int64_t> concepts;
  for (int64_t i = 0; i < 30000; ++i) {
    em.push_back(i * 7919 % 10 < 3 ? 1 : 0);
    f1.push_back(static_cast<double>(i * 7919 % 11) / static_cast<double>(10 + i * 31 % 13));
    concepts.push_back(i % 10000);
  }
  const auto begin = std::chrono::steady_clock::now();
  finer::bootstrap_mean(em);
  finer::bootstrap_mean(f1);
  finer::bootstrap_mean(f1, concepts);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  INFO("three intervals: " << seconds.count() << " s");
  CHECK(seconds.count() < 6);  // a guard against drawing sample by sample on a busy machine
}
