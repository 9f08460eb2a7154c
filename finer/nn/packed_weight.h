#pragma once

#include <ATen/core/Tensor.h>

namespace finer {

/// A weight in the blocked layout of oneDNN, by LibTorch's own operators: no product copies it into
/// blocks again, which takes MKL as long as the arithmetic where rows are few (answers under way).
class PackedWeight {
 public:
  PackedWeight() = default;
  /// weight [out, in]. Stays empty where nothing is gained: another device or dtype, a small
  /// weight, or a LibTorch without oneDNN.
  explicit PackedWeight(const at::Tensor& weight);

  bool defined() const { return packed_.defined(); }
  /// x [T, in] float32; returns x W^T + bias [T, out]. `bias` may be undefined. No gradients.
  at::Tensor multiply(const at::Tensor& x, const at::Tensor& bias) const;

 private:
  at::Tensor packed_;
};

}  // namespace finer
