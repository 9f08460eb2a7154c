#define CATCH_CONFIG_RUNNER
#include "finer/core/error.h"
#include "finer/nn/device.h"

#include <catch2/catch.hpp>

#include <iostream>

// Tests tagged [gpu] need a CUDA device. Without one the rest still runs and must pass; then the
// skip code is returned, so that a skip never reads as a pass.
int main(int argc, char** argv) {
  Catch::Session session;
  if (const int fault = session.applyCommandLine(argc, argv); fault != 0) return fault;
  constexpr int kSkip = 77;
  bool has_device = true;
  try {
    finer::open_device("cuda");
  } catch (const finer::ConfigError& error) {
    has_device = false;
    std::cout << "no CUDA device: " << error.what() << std::endl;
    session.configData().testsOrTags = {"~[gpu]"};
  }
  const int failed = session.run();
  return failed != 0 || has_device ? failed : kSkip;
}
