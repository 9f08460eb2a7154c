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
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x_TX, const Packing& packing) {
    ctx->saved_data["kept"] = packing.kept;
    std::vector<int64_t> repeats;
    for (const auto& r : packing.repeats)
      repeats.insert(repeats.end(), {r.packed, r.stream, r.length});
    ctx->saved_data["repeats"] = repeats;
    return x_TX.index_select(0, packing.expand_T);
  }

  // The sums are in the order of the repeats, on every device, and in float32.
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto repeats = ctx->saved_data["repeats"].toIntVector();
    const auto& d_TX = grads[0];
    const auto first_TX = d_TX.index_select(0, ctx->saved_data["kept"].toTensor());
    const auto sum_TX = first_TX.to(at::kFloat);
    for (size_t i = 0; i < repeats.size(); i += 3) {
      sum_TX.narrow(0, repeats[i + 1], repeats[i + 2])
          .add_(d_TX.narrow(0, repeats[i], repeats[i + 2]));
    }
    return {sum_TX.to(d_TX.scalar_type()), at::Tensor()};
  }
};

}  // namespace

at::Tensor select_rows(const at::Tensor& x_TX, const at::Tensor& rows) {
  return SelectRowsFunction::apply(x_TX, rows);
}

at::Tensor expand_shared(const at::Tensor& x_TX, const Packing& packing) {
  return ExpandSharedFunction::apply(x_TX, packing);
}

}  // namespace finer
