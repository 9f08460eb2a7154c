#pragma once

#include "finer/model/llava.h"

namespace finer::lora {

/// Adds every adapter into its base weight, in float32, rounded once to the base's dtype, and takes
/// the adapters off.
void merge(Llava& model);

}  // namespace finer::lora
