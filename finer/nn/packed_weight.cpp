#include "finer/nn/packed_weight.h"

#include "finer/core/error.h"

#include <ATen/Context.h>
#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <ATen/core/stack.h>

#include <cstdint>
#include <optional>
#include <string_view>

namespace finer {

namespace {

constexpr int64_t kLeastElements = 200'000;  // below, the operator's own cost is more than the copy

using Multiply = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                            std::string_view, c10::List<std::optional<at::Scalar>>,
                            std::optional<std::string_view>);

std::optional<c10::OperatorHandle> find_operator(const char* name) {
  return c10::Dispatcher::singleton().findSchema({name, ""});
}

}  // namespace

PackedWeight::PackedWeight(const at::Tensor& weight) {
  if (!weight.is_cpu() || weight.scalar_type() != at::kFloat || weight.requires_grad() ||
      weight.numel() < kLeastElements || !at::globalContext().hasMKLDNN()) {
    return;
  }
  const auto pack = find_operator("mkldnn::_reorder_linear_weight");
  if (!pack || !find_operator("mkldnn::_linear_pointwise")) return;
  const at::NoGradGuard no_gradients;
  // Boxed: GCC 12 takes the empty std::optional<c10::SymInt> of a typed call for uninitialised.
  torch::jit::Stack stack{weight.contiguous(), c10::IValue()};
  pack->callBoxed(stack);
  packed_ = stack.at(0).toTensor();
}

at::Tensor PackedWeight::multiply(const at::Tensor& x, const at::Tensor& bias) const {
  FINER_CHECK(!at::GradMode::is_enabled() || !x.requires_grad(), "packed weights do not train");
  static const auto multiply = find_operator("mkldnn::_linear_pointwise").value().typed<Multiply>();
  const at::NoGradGuard no_gradients;
  return multiply.call(x, packed_, bias.defined() ? std::optional<at::Tensor>(bias) : std::nullopt,
                       "none", c10::List<std::optional<at::Scalar>>(), std::nullopt);
}

}  // namespace finer
