#pragma once

#include "finer/model/config.h"
#include "finer/nn/cached_attention.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace finer {

/// Keys and values of all layers, slot by slot: a slot holds one token. Memory grows as slots are
/// taken, by doubling.
class KvStore {
 public:
  KvStore(const LanguageConfig& config, at::TensorOptions options);

  /// Slots without a token in them.
  int64_t num_free() const { return static_cast<int64_t>(free_.size()); }
  int64_t num_used() const { return capacity_ - num_free(); }
  int64_t capacity() const { return capacity_; }

  /// Makes room for `capacity` slots in all. Throws: c10::OutOfMemoryError, after which all is as
  /// before.
  void grow(int64_t capacity);
  int32_t take();  // num_free() > 0
  void give_back(int32_t slot) { free_.push_back(slot); }
  void give_back(const std::vector<int32_t>& slots);
  void clear();  // gives all slots back

  std::vector<KvLayer>& layers() { return layers_; }

  /// Tokens that a quarter of the free memory holds, and no fewer than the longest sequence has.
  static int64_t affordable_tokens(const LanguageConfig& config, at::TensorOptions options);

 private:
  at::TensorOptions options_;
  int64_t num_heads_ = 0, head_size_ = 0;  // K, C
  int64_t capacity_ = 0;
  std::vector<int32_t> free_;
  std::vector<KvLayer> layers_;
};

}  // namespace finer
