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

  // Where sequences begin like the one before them (the system text, a picture), the residual
  // stream holds what they share once, and of each sequence only what is left. Attention sees whole
  // sequences; everything else works on the stream, whose length is kept.size(0).
  struct Repeat {
    int64_t packed = 0;  // first of the packed positions that repeat ...
    int64_t stream = 0;  // ... these rows of the stream
    int64_t length = 0;
  };
  std::vector<Repeat> repeats;  // none: the stream is the packed row itself
  at::Tensor expand_T;          // int64 [T], stream row of each packed position
  at::Tensor kept;  // int64 [stream rows], packed position of each (the first that has it)

  int64_t num_tokens() const { return bounds.back(); }
  bool is_shared() const { return !repeats.empty(); }
  int64_t num_sequences() const { return static_cast<int64_t>(bounds.size()) - 1; }

  /// bounds: S+1 ascending values from 0. Positions count from 0 within each sequence.
  /// shared: tokens that each sequence has in common with the one before it, fewer than it has, the
  /// first 0; empty: none.
  static Packing from_bounds(std::vector<int64_t> bounds, at::Device device,
                             const std::vector<int64_t>& shared = {});
};

}  // namespace finer
