#pragma once

#include <cstdint>

namespace finer::dist {

/// How ranks work together; does nothing in a run of one rank.
struct DistConfig {
  double timeout_s = 60;   // a rank that is silent for so long ends the job
  int64_t bucket_mb = 25;  // gradients travel in pieces of this size while the rest is computed
};

struct LoadConfig {
  bool stagger = false;  // one rank a machine reads the base model at a time
};

}  // namespace finer::dist
