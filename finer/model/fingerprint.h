#pragma once

#include "finer/model/llava.h"

#include <map>
#include <string>

namespace finer {

/// What tells a base from another of the same shape: for "language" and, where there is one,
/// "vision", a hash of 16 values of every weight. Values are rounded to bfloat16, so that dtype,
/// device, file format and shards do not matter. Adapters and the projector do not count.
std::map<std::string, std::string> base_fingerprints(const Llava& model);

}  // namespace finer
