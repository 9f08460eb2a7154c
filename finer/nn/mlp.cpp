#include "finer/nn/mlp.h"

#include "finer/nn/cpu_rows.h"
#include "finer/nn/cuda_ops.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cstdint>

namespace finer {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// Nothing in it may be a call: GCC does not inline into functions with options of their own
// (FINER_CPU_ROWS) unless told to.
//
// 1 / (1 + exp(-x)) in a form that loops are vectorised with: exp(-x) = 2^n exp(r), |r| <= ln 2 /
// 2, by its series of degree 6 (error below 2e-7 of the value).
__attribute__((always_inline)) inline float sigmoid(float x) {
  float y = -x < -80.0F ? -80.0F : -x;
  y = y > 80.0F ? 80.0F : y;
  const float n = __builtin_rintf(y * 1.44269504F);
  const float r = y - n * 0.693147181F;
  const float p =
      1.0F + r * (1.0F + r * (0.5F + r * (1.0F / 6 +
                                          r * (1.0F / 24 + r * (1.0F / 120 + r * (1.0F / 720))))));
  const auto power = __builtin_bit_cast(float, (static_cast<int32_t>(n) + 127) << 23);
  return 1.0F / (1.0F + p * power);
}

// h = silu(gate) * up, row by row; a row of gate_up is gate [F], then up [F].
FINER_CPU_ROWS void swiglu_rows(const float* gate_up, float* h, int64_t begin, int64_t end,
                                int64_t F) {
  for (int64_t t = begin; t < end; ++t) {
    const float *gate = gate_up + t * 2 * F, *up = gate + F;
    float* out = h + t * F;
    for (int64_t f = 0; f < F; ++f) out[f] = gate[f] * sigmoid(gate[f]) * up[f];
  }
}

FINER_CPU_ROWS void swiglu_rows_backward(const float* dh, const float* gate_up, float* d_gate_up,
                                         int64_t begin, int64_t end, int64_t F) {
  for (int64_t t = begin; t < end; ++t) {
    const float *gate = gate_up + t * 2 * F, *up = gate + F, *g = dh + t * F;
    float *d_gate = d_gate_up + t * 2 * F, *d_up = d_gate + F;
    for (int64_t f = 0; f < F; ++f) {
      const float s = sigmoid(gate[f]);
      d_up[f] = g[f] * gate[f] * s;
      d_gate[f] = g[f] * up[f] * s * (1.0F + gate[f] * (1.0F - s));
    }
  }
}

bool takes_fast_rows(const at::Tensor& gate_up_TX) {
  return gate_up_TX.is_cpu() && gate_up_TX.scalar_type() == at::kFloat &&
         gate_up_TX.is_contiguous();
}

class SwigluFunction : public Function<SwigluFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& gate_up_TX) {
    ctx->save_for_backward({gate_up_TX});
    if (gate_up_TX.is_cuda() && has_cuda_kernels()) return cuda_ops::swiglu(gate_up_TX);
    const int64_t F = gate_up_TX.size(1) / 2;
    if (takes_fast_rows(gate_up_TX)) {
      auto h = at::empty({gate_up_TX.size(0), F}, gate_up_TX.options());
      const float* in = gate_up_TX.const_data_ptr<float>();
      float* out = h.data_ptr<float>();
      at::parallel_for(0, gate_up_TX.size(0), rows_a_task(2 * F),
                       [&](int64_t begin, int64_t end) { swiglu_rows(in, out, begin, end, F); });
      return h;
    }
    auto h = at::silu(gate_up_TX.narrow(1, 0, F));
    h.mul_(gate_up_TX.narrow(1, F, F));
    return h;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto gate_up_TX = ctx->get_saved_variables()[0];
    if (gate_up_TX.is_cuda() && has_cuda_kernels())
      return {cuda_ops::swiglu_backward(grads[0], gate_up_TX)};
    const int64_t F = gate_up_TX.size(1) / 2;
    auto d = at::empty_like(gate_up_TX);
    if (takes_fast_rows(gate_up_TX)) {
      const auto dh = grads[0].contiguous();
      const float *g = dh.const_data_ptr<float>(), *in = gate_up_TX.const_data_ptr<float>();
      float* out = d.data_ptr<float>();
      at::parallel_for(0, gate_up_TX.size(0), rows_a_task(2 * F), [&](int64_t begin, int64_t end) {
        swiglu_rows_backward(g, in, out, begin, end, F);
      });
      return {d};
    }
    const auto gate = gate_up_TX.narrow(1, 0, F), up = gate_up_TX.narrow(1, F, F);
    const auto& dh = grads[0];
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
