#include "finer/nn/rows.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <utility>
#include <vector>

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
    auto sum_TX = d_TX.index_select(0, ctx->saved_data["kept"].toTensor());
    for (const auto& [begin, end] : repeated_rows(repeats)) {
      auto rows_TX = sum_TX.narrow(0, begin, end - begin);
      const auto exact_TX = rows_TX.to(at::kFloat);  // float32: the rows themselves
      for (size_t i = 0; i < repeats.size(); i += 3) {
        if (repeats[i + 1] < begin || repeats[i + 1] >= end) continue;
        exact_TX.narrow(0, repeats[i + 1] - begin, repeats[i + 2])
            .add_(d_TX.narrow(0, repeats[i], repeats[i + 2]));
      }
      rows_TX.copy_(exact_TX);
    }
    return {sum_TX, at::Tensor()};
  }

 private:
  // Stretches of the stream that have repeats, apart from each other. repeats: (packed, stream,
  // length) each.
  static std::vector<std::pair<int64_t, int64_t>> repeated_rows(
      const std::vector<int64_t>& repeats) {
    std::vector<std::pair<int64_t, int64_t>> all, out;
    for (size_t i = 0; i < repeats.size(); i += 3)
      all.emplace_back(repeats[i + 1], repeats[i + 1] + repeats[i + 2]);
    std::sort(all.begin(), all.end());
    for (const auto& [begin, end] : all) {
      if (!out.empty() && begin < out.back().second) {
        out.back().second = std::max(out.back().second, end);
      } else {
        out.emplace_back(begin, end);
      }
    }
    return out;
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
