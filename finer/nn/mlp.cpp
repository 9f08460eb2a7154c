#include "finer/nn/mlp.h"

#include "finer/nn/cuda_ops.h"

#include <torch/csrc/autograd/custom_function.h>

namespace finer {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

class SwigluFunction : public Function<SwigluFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& gate_up_TX) {
    ctx->save_for_backward({gate_up_TX});
    if (gate_up_TX.is_cuda() && has_cuda_kernels()) return cuda_ops::swiglu(gate_up_TX);
    const int64_t F = gate_up_TX.size(1) / 2;
    auto h = at::silu(gate_up_TX.narrow(1, 0, F));
    h.mul_(gate_up_TX.narrow(1, F, F));
    return h;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto gate_up_TX = ctx->get_saved_variables()[0];
    if (gate_up_TX.is_cuda() && has_cuda_kernels())
      return {cuda_ops::swiglu_backward(grads[0], gate_up_TX)};
    const int64_t F = gate_up_TX.size(1) / 2;
    const auto gate = gate_up_TX.narrow(1, 0, F), up = gate_up_TX.narrow(1, F, F);
    const auto& dh = grads[0];
    auto d = at::empty_like(gate_up_TX);
    auto d_gate = d.narrow(1, 0, F), d_up = d.narrow(1, F, F);
    at::silu_out(d_up, gate);
    d_up.mul_(dh);
    at::silu_backward_out(d_gate, at::mul(dh, up), gate);
    return {d};
  }
};

}  // namespace

GatedMlp::GatedMlp(const std::string& path, int64_t width, int64_t mlp_width,
                   at::TensorOptions options)
    : gate_up_proj({{path + ".gate_proj", mlp_width}, {path + ".up_proj", mlp_width}}, width, false,
                   options),
      down_proj({{path + ".down_proj", width}}, mlp_width, false, options) {}

at::Tensor GatedMlp::forward(const at::Tensor& x_TD) const {
  return down_proj.forward(swiglu(gate_up_proj.forward(x_TD)));
}

at::Tensor swiglu(const at::Tensor& gate_up_TX) { return SwigluFunction::apply(gate_up_TX); }

at::Tensor swiglu_plain(const at::Tensor& gate_up_TX) {
  const auto halves = gate_up_TX.chunk(2, 1);
  return at::silu(halves[0]) * halves[1];
}

at::Tensor quick_gelu(const at::Tensor& x) { return x * at::sigmoid(x * 1.702); }

}  // namespace finer
