#include "finer/core/error.h"
#include "finer/eval/linear_probe.h"
#include "finer/eval/probe_text.h"
#include "finer/eval/tap_features.h"

#include <ATen/ATen.h>
#include <catch2/catch.hpp>

namespace {

// Two classes on either side of a plane, or (xor) one that no plane parts.
std::pair<at::Tensor, at::Tensor> points(int64_t n, bool is_xor) {
  std::vector<float> x;
  std::vector<int64_t> y;
  uint64_t state = 12345;
  const auto draw = [&] {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<float>(static_cast<double>(state >> 33) / 4294967296.0) - 0.25F;
  };
  for (int64_t i = 0; i < n; ++i) {
    float a = draw() * 4, b = draw() * 4;
    if (std::abs(a) < 0.1F) a = 0.1F;
    if (std::abs(b) < 0.1F) b = 0.1F;
    x.insert(x.end(), {a, b, 100 + draw()});
    y.push_back(is_xor ? (a > 0) != (b > 0) : a > 0);
  }
  return {at::tensor(x).view({n, 3}), at::tensor(y, at::kLong)};
}

double accuracy(const std::string& head, bool is_xor) {
  finer::EvalLinearConfig config;
  config.head = head;
  config.hidden = 32;
  config.epochs = 60;
  config.batch = 16;
  config.lr = 1e-2;
  const auto [fit_x, fit_y] = points(300, is_xor);
  const auto [test_x, test_y] = points(500, is_xor);
  const auto never = [] { return false; };
  return finer::probe_accuracy(config, fit_x, fit_y, test_x, test_y, 2, never).value();
}

}  // namespace

TEST_CASE("a linear head tells what a plane parts, an MLP also what none does", "[eval]") {
  CHECK(accuracy("linear", false) > 0.97);
  CHECK(accuracy("linear", true) < 0.75);
  CHECK(accuracy("mlp", true) > 0.93);
  CHECK(accuracy("mlp", true) == accuracy("mlp", true));
}

TEST_CASE("a head that is stopped has no accuracy", "[eval]") {
  const auto [x, y] = points(40, false);
  int64_t epochs = 0;
  finer::EvalLinearConfig config;
  const auto stop = [&] { return ++epochs > 3; };
  CHECK(!finer::probe_accuracy(config, x, y, x, y, 2, stop));
  CHECK(epochs == 4);
}

TEST_CASE("a tap is read from its name", "[eval]") {
  using Part = finer::Tap::Part;
  CHECK(finer::parse_tap("projector").part == Part::kProjector);
  CHECK(finer::parse_tap("vision:-2").layer == -2);
  CHECK(finer::parse_tap("language:12").part == Part::kLanguage);
  for (const char* text : {"vision", "vision:", "vision:x", "language:-1", "head:1", ""}) {
    INFO(text);
    CHECK_THROWS_WITH(finer::parse_tap(text), Catch::Contains("expected vision:N, projector or"));
  }
}

TEST_CASE("attributes are matched one by one", "[eval]") {
  const std::vector<std::string> gold = {"red head", "blue cheek", "long tail"};
  auto match = finer::match_attributes("A red head, blue cheeks, Long tail.", gold);
  CHECK(match.precision == Approx(2.0 / 3));
  CHECK(match.recall == Approx(2.0 / 3));
  match = finer::match_attributes("red head, red head", gold);
  CHECK(match.precision == 1);
  CHECK(match.recall == Approx(1.0 / 3));
  match = finer::match_attributes("", gold);
  CHECK(match.precision == 0);
  CHECK(match.recall == 0);
}
