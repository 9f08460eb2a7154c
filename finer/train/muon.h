#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace finer {

/// How ranks share out the work of an update that all of them make.
struct UpdateShare {
  int rank = 0, size = 1;
  // Puts every rank's `own` [n] into `all` [size * n], in order of rank; asked for where size is
  // above 1.
  std::function<void(const at::Tensor& own, const at::Tensor& all)> gather;
};

/// A weight matrix and what Muon needs for its update: views of equal shape [A, B], float32.
struct MuonMatrix {
  at::Tensor value, grad;
  at::Tensor momentum;  // moving average of the gradients
  double lr = 0;        // as AdamW's: the update's root mean square is 0.2 times it
  double weight_decay = 0;
};

/// Each matrix with its singular values drawn towards 1 by Newton-Schulz steps of fifth degree;
/// float32 on the CPU, bfloat16 on CUDA. Five steps bring all above a hundredth of their norm to
/// between 0.7 and 1.2.
///
/// x_NAB    [N, A, B]
/// returns  [N, A, B] in the dtype that it was made in
at::Tensor orthogonalize(const at::Tensor& x_NAB, int64_t num_steps);

/// Floating-point operations of one matrix in `orthogonalize`.
double orthogonalize_flops(int64_t rows, int64_t columns, int64_t num_steps);

/// One step of Muon with Nesterov's momentum, as torch.optim.Muon's with
/// adjust_lr_fn="match_rms_adamw". With several ranks each orthogonalizes a share of the matrices;
/// gradients and matrices are the same on all, before and after. Sources:
/// https://kellerjordan.github.io/posts/muon, https://arxiv.org/abs/2502.16982.
///
/// bucket_values: of a rank's updates that exist at a time, unless one matrix has more
void muon_step(const std::vector<MuonMatrix>& matrices, double momentum, int64_t num_steps,
               const UpdateShare& share, int64_t bucket_values = int64_t{1} << 26);

}  // namespace finer
