#include "finer/train/loss_scaler.h"

#include "finer/core/error.h"

#include <catch2/catch.hpp>

#include <cmath>
#include <limits>

TEST_CASE("the loss scale doubles after 2000 good steps in a row", "[train]") {
  finer::LossScaler scaler;
  CHECK(scaler.scale() == 65536.0);
  for (int i = 0; i < 1999; ++i) scaler.update(false);
  CHECK(scaler.scale() == 65536.0);
  scaler.update(false);
  CHECK(scaler.scale() == 131072.0);
  for (int i = 0; i < 2000; ++i) scaler.update(false);
  CHECK(scaler.scale() == 262144.0);
}

TEST_CASE("gradients that are not finite halve the loss scale and start the count anew",
          "[train]") {
  finer::LossScaler scaler;
  for (int i = 0; i < 1999; ++i) scaler.update(false);
  scaler.update(true);
  CHECK(scaler.scale() == 32768.0);
  CHECK(scaler.state().good_steps == 0);
  for (int i = 0; i < 1999; ++i) scaler.update(false);
  CHECK(scaler.scale() == 32768.0);
  scaler.update(false);
  CHECK(scaler.scale() == 65536.0);
}

TEST_CASE("a restored loss scaler goes on as if it had never stopped", "[train]") {
  const finer::LossScalerConfig config{.init = 8, .growth_interval = 3};
  finer::LossScaler unbroken(config), first(config);
  const auto is_bad = [](int step) { return step % 7 == 5; };
  for (int step = 0; step < 10; ++step) {
    unbroken.update(is_bad(step));
    first.update(is_bad(step));
  }
  finer::LossScaler second(config);
  second.restore(first.state());
  for (int step = 10; step < 60; ++step) {
    unbroken.update(is_bad(step));
    second.update(is_bad(step));
    CHECK(second.scale() == unbroken.scale());
    CHECK(second.state().good_steps == unbroken.state().good_steps);
  }
}

TEST_CASE("the loss scale never grows past what a float holds", "[train]") {
  const double top = std::ldexp(1.0, 127);
  finer::LossScaler scaler({.init = top, .growth_interval = 1});
  scaler.update(false);
  CHECK(scaler.scale() == top);
}

TEST_CASE("gradients that are never finite stop the run with a hint", "[train]") {
  finer::LossScaler scaler;
  const auto fail_for_good = [&] {
    for (int i = 0; i < 1000; ++i) scaler.update(true);
  };
  CHECK_THROWS_AS(fail_for_good(), finer::ConfigError);
  CHECK_THROWS_WITH(scaler.update(true), Catch::Contains("bfloat16"));
}

TEST_CASE("a loss scale that no scaler writes is refused", "[train]") {
  finer::LossScaler scaler;
  for (const double scale :
       {0.0, -1.0, 1e-9, std::numeric_limits<double>::infinity(), std::nan("")}) {
    CHECK_THROWS_AS(scaler.restore({scale, 0}), finer::CheckpointError);
  }
  CHECK_THROWS_AS(scaler.restore({1024, -1}), finer::CheckpointError);
  CHECK(scaler.scale() == 65536.0);
  CHECK_THROWS_AS(finer::LossScaler({.growth = 1.0}), finer::ConfigError);
  CHECK_THROWS_AS(finer::LossScaler({.backoff = 1.0}), finer::ConfigError);
  CHECK_THROWS_AS(finer::LossScaler({.growth_interval = 0}), finer::ConfigError);
}
