#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

namespace finer {

/// Runs `body(x)` without keeping what its backward pass needs; the backward pass runs it again.
///
/// body must be a pure function of x and of parameters (dropout masks are: see DropoutSeed) and
/// outlive the backward pass. Gradients of parameters go straight into their leaves. Source:
/// https://arxiv.org/abs/1604.06174.
at::Tensor recompute(const std::function<at::Tensor(const at::Tensor&)>& body, const at::Tensor& x);

}  // namespace finer
