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

  // Where all sequences begin with the same tokens (the system text), the residual stream holds
  // these once, at its front, and then what is left of each sequence. Attention sees whole
  // sequences; everything else works on the stream, whose length is kept.size(0).
  int64_t shared_prefix = 0;  // tokens held once; 0: the stream is the packed row itself
  at::Tensor expand_T;        // int64 [T], stream row of each packed position
  at::Tensor kept;  // int64 [stream rows], packed position of each (the first that has it)

  int64_t num_tokens() const { return bounds.back(); }
  int64_t num_sequences() const { return static_cast<int64_t>(bounds.size()) - 1; }

  /// bounds: S+1 ascending values from 0. Positions count from 0 within each sequence.
  /// shared_prefix: tokens that begin every sequence, fewer than the shortest has.
  static Packing from_bounds(std::vector<int64_t> bounds, at::Device device,
                             int64_t shared_prefix = 0);
};

}  // namespace finer
