#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace finer {

/// Where the sequences of a packed row [T] lie. A token sees its own sequence up to itself.
struct Packing {
  std::vector<int64_t> bounds;  // [S+1], host: first position of each sequence, and T
  at::Tensor positions_T;       // int64, 0.. within each sequence, on the device
  at::Tensor bounds_device;     // int32 [S+1], on the device (CUDA's variable-length kernel)
  int64_t max_length = 0;       // longest sequence

  int64_t num_tokens() const { return bounds.back(); }
  int64_t num_sequences() const { return static_cast<int64_t>(bounds.size()) - 1; }

  /// bounds: S+1 ascending values from 0. Positions count from 0 within each sequence.
  static Packing from_bounds(std::vector<int64_t> bounds, at::Device device);
};

}  // namespace finer
