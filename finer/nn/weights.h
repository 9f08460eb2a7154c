#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>

namespace finer {

/// Called with the canonical name of a base weight and the tensor (often a view of a fused one)
/// that holds it. docs/architecture.md lists the names.
using WeightVisitor = std::function<void(const std::string& name, const at::Tensor& slot)>;

}  // namespace finer
