#pragma once

#include "finer/nn/packed_weight.h"
#include "finer/nn/weights.h"

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace finer {

/// A float32 leaf in the compute dtype, rounded once for all uses until the leaf changes.
///
/// Changes are told by the leaf's storage and version, which every operator that writes to it
/// counts up. Threads: one at a time (forward and backward take turns).
class RoundedLeaf {
 public:
  /// The leaf itself where it has that dtype. No gradients: for the bodies of autograd functions.
  const at::Tensor& of(const at::Tensor& leaf, at::ScalarType dtype) const;

 private:
  mutable at::Tensor rounded_;
  mutable const void* data_ = nullptr;
  mutable int64_t version_ = -1;
};

/// Low-rank update of one part of a Linear: y_part += scale * (x A^T) B^T.
struct AdapterPart {
  size_t part = 0;     // which part of the Linear
  int64_t rank = 0;    // R
  double scale = 1.0;  // alpha / R, or alpha / sqrt(R)
  at::Tensor B;        // [out, R], float32 leaf
  RoundedLeaf rounded_B = {};
};

/// What lora/ puts into a Linear's adapter slot.
struct Adapter {
  at::Tensor A;  // [sum of R, in], float32 leaf: the A matrices of all parts, in their order
  std::vector<AdapterPart> parts;  // ascending by part
  double dropout = 0.0;            // on the adapter's input, one mask for all parts of the Linear
  std::string id;                  // tells this Linear's dropout masks from the others'
  RoundedLeaf rounded_A = {};
};

/// Draws of the dropout masks of one device pass: masks are a pure function of (seed, Linear), so
/// that a layer that is computed again in the backward pass sees the same mask. seed 0: no dropout
/// (evaluation).
struct DropoutSeed {
  static uint64_t current();
  /// Sets the seed for the lifetime of the object, then puts the one before back.
  explicit DropoutSeed(uint64_t seed);
  ~DropoutSeed();
  DropoutSeed(const DropoutSeed&) = delete;
  DropoutSeed& operator=(const DropoutSeed&) = delete;

 private:
  uint64_t before_;
};

/// Linear layer(s) over one input: a weight store plus an adapter slot.
///
/// Projections that share their input (q/k/v, gate/up) are parts of one Linear: one product for the
/// base weights, one for the A matrices. The backward pass makes no gradient for a frozen base
/// weight and saves only what the adapter needs.
class Linear {
 public:
  struct Part {
    std::string path;  // canonical path of the layer, "language_model.layers.0.self_attn.q_proj"
    int64_t out = 0;   // rows of its weight
  };

  Linear() = default;
  Linear(std::vector<Part> parts, int64_t in, bool bias, at::TensorOptions options);

  /// x_TD [T, in] (or [..., in]) in the weight's dtype; returns [T, sum of out].
  at::Tensor forward(const at::Tensor& x) const;

  /// For models that only answer: a large float32 weight on the CPU goes over into the layout that
  /// oneDNN multiplies with (packed_weight.h), and is not kept beside it. Nothing may train, visit
  /// or replace the weight after it.
  void pack();

  void visit_weights(const WeightVisitor& visit) const;
  const std::vector<Part>& parts() const { return parts_; }
  int64_t in_features() const { return in_; }
  int64_t part_offset(size_t part) const { return offsets_[part]; }
  bool has_bias() const { return bias_.defined(); }
  /// The part's rows of the weight, a view.
  at::Tensor part_weight(size_t part) const;

  std::shared_ptr<Adapter>& adapter() { return adapter_; }
  const std::shared_ptr<Adapter>& adapter() const { return adapter_; }
  at::Tensor& weight() { return weight_; }  // [sum of out, in]; a leaf that trains in full tuning
  at::Tensor& bias() { return bias_; }      // [sum of out] or undefined

 private:
  at::Tensor multiply_packed(const at::Tensor& rows) const;
  at::Tensor apply_trainable(const at::Tensor& rows) const;

  std::vector<Part> parts_;
  std::vector<int64_t> offsets_;  // [parts + 1]
  int64_t in_ = 0;
  at::Tensor weight_, bias_;
  PackedWeight packed_;  // instead of weight_
  std::shared_ptr<Adapter> adapter_;
};

}  // namespace finer
