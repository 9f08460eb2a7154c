#pragma once

#include "finer/nn/attention.h"
#include "finer/nn/cuda_ops.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace finer {

/// Keys (rotated) and values of one layer: [K, slots, C] each, contiguous, compute dtype. A slot
/// holds one token; which slots make up a sequence, and in what order, is the caller's business.
struct KvLayer {
  at::Tensor keys, values;
};

/// Which cached tokens the rows of a pass see, and where their own keys and values go. A row sees
/// the tokens that its group shares, then its own list, whose last entry is usually the row itself.
struct CachedView {
  /// Rows that follow each other and begin with the same tokens: questions about one picture, the
  /// new tokens of one prompt, the branches of a prefix tree.
  struct Group {
    int64_t first_row = 0, num_rows = 0;
    int64_t shared_begin = 0, shared_count = 0;  // in `slots`
    // Filled by make_tensors: slots as [shared], and [own] or [rows, own]; what a row does not see.
    at::Tensor shared_slots, own_slots, is_hidden;
  };
  std::vector<Group> groups;       // cover all rows, in order
  std::vector<int32_t> slots;      // lists, one after the other
  std::vector<int64_t> own_begin;  // [T] in `slots`
  std::vector<int64_t> own_count;  // [T], at least 1
  std::vector<int64_t> positions;  // [T] in its sequence
  std::vector<int64_t> writes_to;  // [T] slot of the row's own keys and values, all different

  at::Tensor positions_T, writes_to_T;  // int64, on the device
  cuda_ops::CachedLists lists;          // where the device's own kernel reads them
  int64_t max_position = 0;

  int64_t num_rows() const { return static_cast<int64_t>(positions.size()); }
  /// Fills the tensors and checks the lists; once a pass, before the first layer.
  /// heads_a_key: H / K.
  void make_tensors(at::Device device, bool has_kernel, int64_t heads_a_key);
};

/// Whether attend_cached has a kernel of its own: on the CPU in float32, C a multiple of 8; on CUDA
/// where finer/cuda is there, C 32, 64 or 128, up to 8 query heads a key head. ATen's operators,
/// group by group, do the work elsewhere.
bool has_cached_kernel(const at::TensorOptions& options, const AttentionConfig& config);

/// Rotates queries and keys, stores keys and values of all rows, then attends: a row may see rows
/// of its own pass. No gradients.
///
/// qkv_TX   [T, (H + 2K) * C], rotated IN PLACE
/// returns  [T, H * C]
///
/// CPU: softmax on the way over blocks of keys, a tile of rows at a time, so that shared keys are
/// read once a tile; parallel over tiles and key heads. A row's result does not depend on the
/// thread count. Source: https://arxiv.org/abs/1805.02867 (softmax on the way).
at::Tensor attend_cached(const at::Tensor& qkv_TX, const RopeRows& rope, const CachedView& view,
                         KvLayer& layer, const AttentionConfig& config);

/// The same by ATen's operators, whatever has_cached_kernel says: needs tensors made with
/// has_kernel false.
at::Tensor attend_cached_plain(const at::Tensor& qkv_TX, const RopeRows& rope,
                               const CachedView& view, KvLayer& layer,
                               const AttentionConfig& config);

}  // namespace finer
