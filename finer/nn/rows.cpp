#include "finer/nn/rows.h"

#include <torch/csrc/autograd/custom_function.h>

namespace finer {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

class SelectRowsFunction : public Function<SelectRowsFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x_TX, const at::Tensor& rows) {
    ctx->saved_data["rows"] = rows;
    ctx->saved_data["T"] = x_TX.size(0);
    return x_TX.index_select(0, rows);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    auto dx_TX = at::zeros({ctx->saved_data["T"].toInt(), grads[0].size(1)}, grads[0].options());
    dx_TX.index_copy_(0, ctx->saved_data["rows"].toTensor(), grads[0]);
    return {dx_TX, at::Tensor()};
  }
};

class ExpandSharedFunction : public Function<ExpandSharedFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x_TX, const at::Tensor& expand,
                            const at::Tensor& kept, const std::vector<int64_t>& bounds,
                            int64_t shared) {
    ctx->saved_data["kept"] = kept;
    ctx->saved_data["bounds"] = bounds;
    ctx->saved_data["shared"] = shared;
    return x_TX.index_select(0, expand);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto bounds = ctx->saved_data["bounds"].toIntVector();
    const int64_t shared = ctx->saved_data["shared"].toInt();
    auto dx_TX = grads[0].index_select(0, ctx->saved_data["kept"].toTensor());
    auto d_shared = dx_TX.narrow(0, 0, shared).to(at::kFloat);  // many small terms: not in 16 bits
    for (size_t s = 1; s + 1 < bounds.size(); ++s) {
      d_shared.add_(grads[0].narrow(0, bounds[s], shared));
    }
    if (dx_TX.scalar_type() != at::kFloat) dx_TX.narrow(0, 0, shared).copy_(d_shared);
    variable_list out(5);
    out[0] = dx_TX;
    return out;
  }
};

}  // namespace

at::Tensor select_rows(const at::Tensor& x_TX, const at::Tensor& rows) {
  return SelectRowsFunction::apply(x_TX, rows);
}

at::Tensor expand_shared(const at::Tensor& x_TX, const Packing& packing) {
  return ExpandSharedFunction::apply(x_TX, packing.expand_T, packing.kept, packing.bounds,
                                     packing.shared_prefix);
}

}  // namespace finer
