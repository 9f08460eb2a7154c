#pragma once

#include "finer/nn/packing.h"

#include <ATen/core/Tensor.h>

namespace finer {

/// x_TX.index_select(0, rows) for rows that are all different: its backward pass copies instead of
/// adding.
at::Tensor select_rows(const at::Tensor& x_TX, const at::Tensor& rows);

/// The rows of every sequence, shared ones repeated: [packing.num_tokens(), X] from the stream's
/// rows. Gradients of the repeated rows are summed.
at::Tensor expand_shared(const at::Tensor& x_TX, const Packing& packing);

}  // namespace finer
