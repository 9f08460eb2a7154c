#pragma once

#include "finer/dist/process_group.h"

#include <ATen/core/Tensor.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

namespace finer::dist {

/// What the sums of one step took.
struct Traffic {
  int64_t bytes = 0;   // of tensors that this rank gave to sums
  int64_t calls = 0;   // one a bucket
  double total_s = 0;  // from the first sum's call to the end of the last
  double wait_s = 0;   // of it, what was not hidden behind the backward pass
};

/// Sums gradients over ranks, in flat float32 buckets of fixed order that leave while the rest of
/// the backward pass is computed.
///
/// A bucket leaves when all its gradients are there and the ones before it have left, so every rank
/// calls the same sums in the same order; what is left when the backward pass ends, or a rank has
/// no pass at all, leaves as zeros. Behind a bucket's gradients stand as many counts: how many
/// ranks had each gradient. One that no rank had stays undefined, as with one rank, so that AdamW
/// passes over it.
class GradReducer {
 public:
  /// leaves: float32, in the order in which a backward pass reaches them.
  GradReducer(ProcessGroup& group, std::vector<at::Tensor> leaves, int64_t bucket_bytes);
  ~GradReducer();
  GradReducer(const GradReducer&) = delete;
  GradReducer& operator=(const GradReducer&) = delete;

  /// All ranks' leaves become those of rank 0.
  void share_values();

  /// Before the step's last backward pass: its gradients leave as they come.
  void arm();
  /// After it (or without one): each leaf's gradient is the sum over ranks. Throws: LinkError.
  void finish();

  const Traffic& traffic() const { return traffic_; }

 private:
  struct Bucket;
  struct Hooks;
  void on_gradient(size_t leaf);
  void fill(size_t leaf);
  void launch_ready();
  void launch(Bucket& bucket);

  ProcessGroup& group_;
  std::vector<at::Tensor> leaves_;
  std::vector<at::Tensor> slots_;  // of each leaf: a view of its bucket, in its shape
  std::vector<bool> is_filled_;    // in this step
  std::vector<size_t> bucket_of_;
  std::vector<Bucket> buckets_;
  size_t next_ = 0;  // bucket that leaves next
  bool is_armed_ = false;
  std::chrono::steady_clock::time_point first_call_;  // of this step
  Traffic traffic_;
  std::unique_ptr<Hooks> hooks_;
};

}  // namespace finer::dist
