#include "finer/dist/grad_reducer.h"

#include "finer/core/error.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/grad_mode.h>
#include <torch/csrc/autograd/utils/lambda_post_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <chrono>

namespace finer::dist {

namespace {
using Clock = std::chrono::steady_clock;
}

struct GradReducer::Bucket {
  std::vector<size_t> leaves;
  at::Tensor flat;  // [values + one count a leaf]
  int64_t values = 0;
  size_t filled = 0;
  std::unique_ptr<Pending> pending;
};

// LibTorch holds a leaf's accumulator weakly: whoever wants its hook to fire keeps it.
struct GradReducer::Hooks {
  std::vector<std::shared_ptr<torch::autograd::Node>> nodes;
  std::vector<uintptr_t> keys;
};

GradReducer::GradReducer(ProcessGroup& group, std::vector<at::Tensor> leaves, int64_t bucket_bytes)
    : group_(group),
      leaves_(std::move(leaves)),
      slots_(leaves_.size()),
      is_filled_(leaves_.size(), false),
      bucket_of_(leaves_.size()),
      hooks_(std::make_unique<Hooks>()) {
  const at::NoGradGuard no_gradients;
  const int64_t most = std::max<int64_t>(1, bucket_bytes / 4);
  for (size_t i = 0; i < leaves_.size(); ++i) {
    FINER_CHECK(leaves_[i].scalar_type() == at::kFloat && leaves_[i].is_leaf(), "a float32 leaf");
    const bool is_full = buckets_.empty() || buckets_.back().values + leaves_[i].numel() > most;
    if (is_full) buckets_.emplace_back();
    buckets_.back().leaves.push_back(i);
    buckets_.back().values += leaves_[i].numel();
    bucket_of_[i] = buckets_.size() - 1;
  }
  for (auto& bucket : buckets_) {
    const auto counts = static_cast<int64_t>(bucket.leaves.size());
    bucket.flat = at::zeros({bucket.values + counts},
                            leaves_[bucket.leaves[0]].options().requires_grad(false));
    int64_t begin = 0;
    for (const size_t i : bucket.leaves) {
      slots_[i] = bucket.flat.narrow(0, begin, leaves_[i].numel()).view(leaves_[i].sizes());
      begin += leaves_[i].numel();
    }
  }
  for (size_t i = 0; i < leaves_.size(); ++i) {
    auto node = torch::autograd::impl::grad_accumulator(leaves_[i]);
    using torch::autograd::variable_list;
    hooks_->keys.push_back(
        node->add_post_hook(std::make_unique<torch::autograd::utils::LambdaPostHook>(
            [this, i](const variable_list& outputs, const variable_list&) {
              on_gradient(i);
              return outputs;
            })));
    hooks_->nodes.push_back(std::move(node));
  }
}

GradReducer::~GradReducer() {
  for (size_t i = 0; i < hooks_->nodes.size(); ++i)
    hooks_->nodes[i]->del_post_hook(hooks_->keys[i]);
}

void GradReducer::share_values() {
  const at::NoGradGuard no_gradients;
  for (auto& bucket : buckets_) {
    bucket.flat.zero_();
    if (group_.rank() == 0) {
      for (const size_t i : bucket.leaves) slots_[i].copy_(leaves_[i]);
    }
    group_.all_reduce(bucket.flat)->wait();
    for (const size_t i : bucket.leaves) leaves_[i].copy_(slots_[i]);
  }
}

void GradReducer::arm() { is_armed_ = true; }

void GradReducer::on_gradient(size_t leaf) {
  if (!is_armed_) return;
  FINER_CHECK(bucket_of_[leaf] >= next_, "a leaf's gradient is whole before its bucket leaves");
  fill(leaf);
  launch_ready();
}

void GradReducer::fill(size_t leaf) {
  if (is_filled_[leaf]) return;  // its gradient is the slot by now: more was added in place
  const at::NoGradGuard no_gradients;
  slots_[leaf].copy_(leaves_[leaf].grad());
  leaves_[leaf].mutable_grad() = slots_[leaf];
  is_filled_[leaf] = true;
  ++buckets_[bucket_of_[leaf]].filled;
}

void GradReducer::launch_ready() {
  while (next_ < buckets_.size() && buckets_[next_].filled == buckets_[next_].leaves.size())
    launch(buckets_[next_++]);
}

void GradReducer::launch(Bucket& bucket) {
  const at::NoGradGuard no_gradients;
  std::vector<float> counts;
  for (const size_t i : bucket.leaves) {
    counts.push_back(is_filled_[i] ? 1.0F : 0.0F);
    if (!is_filled_[i]) slots_[i].zero_();
  }
  bucket.flat.narrow(0, bucket.values, static_cast<int64_t>(counts.size()))
      .copy_(at::tensor(counts, at::kFloat));
  if (&bucket == &buckets_[0]) first_call_ = Clock::now();
  bucket.pending = group_.all_reduce(bucket.flat);
  traffic_.bytes += bucket.flat.numel() * 4;
  traffic_.calls += 1;
}

void GradReducer::finish() {
  const at::NoGradGuard no_gradients;
  is_armed_ = false;
  for (; next_ < buckets_.size(); ++next_) {
    for (const size_t i : buckets_[next_].leaves) {
      if (leaves_[i].grad().defined()) fill(i);
    }
    launch(buckets_[next_]);
  }
  const auto start = Clock::now();
  std::vector<at::Tensor> counts;
  for (auto& bucket : buckets_) {
    bucket.pending->wait();
    counts.push_back(
        bucket.flat.narrow(0, bucket.values, static_cast<int64_t>(bucket.leaves.size())));
    bucket.pending.reset();
    bucket.filled = 0;
  }
  if (!counts.empty()) {
    const auto had = at::cat(counts).to(at::kCPU);
    const auto* at_count = had.const_data_ptr<float>();
    for (const auto& bucket : buckets_) {
      for (const size_t i : bucket.leaves)
        leaves_[i].mutable_grad() = *at_count++ > 0 ? slots_[i] : at::Tensor();
    }
  }
  const auto end = Clock::now();
  traffic_.wait_s += std::chrono::duration<double>(end - start).count();
  if (!buckets_.empty())
    traffic_.total_s += std::chrono::duration<double>(end - first_call_).count();
  is_filled_.assign(is_filled_.size(), false);
  next_ = 0;
}

}  // namespace finer::dist
