#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace finer {

/// x with each element dropped (0) with probability `rate`, else divided by 1 - rate; x [T, in].
///
/// Which are dropped is a function of seed, id and the element's place alone, the same for every
/// device, dtype and thread count: the backward pass asks again instead of keeping the mask. (A
/// CUDA device without finer's kernels draws with its own generator, as repeatably.)
at::Tensor drop(const at::Tensor& x, double rate, uint64_t seed, const std::string& id);

}  // namespace finer
