#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>

namespace finer {

struct RopeConfig {
  int64_t head_size = 128;       // C
  int64_t max_positions = 4096;  // rows made at once; more come when needed
  double theta = 10000.0;
  std::string scaling = "none";  // none | linear | llama3
  double factor = 1.0;
  double low_freq_factor = 1.0;       // llama3
  double high_freq_factor = 4.0;      // llama3
  int64_t original_positions = 8192;  // llama3
};

/// Tables of rotary positions, float32, for pairs (c, c + C/2) as published checkpoints have them.
///
/// Source: https://arxiv.org/abs/2104.09864; scaling "linear": positions divided by the factor;
/// "llama3": as
/// `_compute_llama3_parameters` of transformers.
class Rope {
 public:
  Rope() = default;
  /// Tables for positions 0..max_positions-1, grown when a longer sequence comes.
  Rope(const RopeConfig& config, at::Device device);

  /// cos and sin rows of the given positions: [T, C/2] each, float32.
  std::pair<at::Tensor, at::Tensor> rows(const at::Tensor& positions_T, int64_t max_length);

 private:
  void build(int64_t positions);
  at::Tensor inverse_frequency_;  // [C/2] float32
  at::Tensor cos_, sin_;          // [positions, C/2]
};

/// Rotates the first `heads` heads of each row in place: x [T, >= heads * C] with row stride, C = 2
/// * cos.size(1). direction +1 rotates, -1 rotates back (the backward pass).
void rotate_heads_(const at::Tensor& x, int64_t heads, const at::Tensor& cos, const at::Tensor& sin,
                   int direction);

/// The same by plain ATen operators, not in place (the oracle): x [T, heads, C].
at::Tensor rotate_plain(const at::Tensor& x_THC, const at::Tensor& cos, const at::Tensor& sin);

}  // namespace finer
