#pragma once

#include "finer/model/llava.h"

namespace finer::lora {

/// Frobenius norms over all merged weights together.
struct MergeNorms {
  double update = 0;  // of what the adapters add
  double lost = 0;    // of what rounding to the base's dtype took from it
};

/// Adds every adapter into its base weight, in float32, rounded once to the base's dtype, and takes
/// the adapters off.
MergeNorms merge(Llava& model);

}  // namespace finer::lora
