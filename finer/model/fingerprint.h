#pragma once

#include "finer/model/llava.h"

#include <map>
#include <string>

namespace finer {

/// What tells a base from another of the same shape: for "language" and, where there is one,
/// "vision", four values of every weight as bfloat16, four hexadecimal digits each. Adapters, the
/// projector, and embedding and head, whose rows layouts pad, do not count.
std::map<std::string, std::string> base_samples(const Llava& model);

/// Whether two samples are of the same weights, in whichever dtype they were held: by way of
/// float16 a value in thirty comes out one step off.
bool is_same_base(const std::string& sample, const std::string& other);

}  // namespace finer
