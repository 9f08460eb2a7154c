#include "finer/nn/norm.h"

#include "finer/nn/cpu_rows.h"
#include "finer/nn/cuda_ops.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

namespace finer {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// out = x * rstd * weight, row by row; rstd is kept for the backward pass.
FINER_CPU_ROWS void rms_rows(const float* x, const float* weight, float* out, float* rstd,
                             int64_t begin, int64_t end, int64_t D, float eps) {
  for (int64_t t = begin; t < end; ++t) {
    const float* row = x + t * D;
    float* y = out + t * D;
    float sum = 0;
    for (int64_t d = 0; d < D; ++d) sum += row[d] * row[d];
    const float r = 1.0F / std::sqrt(sum / static_cast<float>(D) + eps);
    rstd[t] = r;
    for (int64_t d = 0; d < D; ++d) y[d] = row[d] * r * weight[d];
  }
}

// dx = rstd * (w dy) - x * rstd^3 / D * sum(w dy x)
FINER_CPU_ROWS void rms_rows_backward(const float* dy, const float* x, const float* weight,
                                      const float* rstd, float* dx, int64_t begin, int64_t end,
                                      int64_t D) {
  for (int64_t t = begin; t < end; ++t) {
    const float* g = dy + t * D;
    const float* row = x + t * D;
    float* out = dx + t * D;
    float dot = 0;
    for (int64_t d = 0; d < D; ++d) dot += g[d] * weight[d] * row[d];
    const float r = rstd[t];
    const float k = dot * r * r * r / static_cast<float>(D);
    for (int64_t d = 0; d < D; ++d) out[d] = g[d] * weight[d] * r - row[d] * k;
  }
}

bool takes_fast_rows(const at::Tensor& x, const at::Tensor& weight) {
  return x.is_cpu() && x.scalar_type() == at::kFloat && weight.scalar_type() == at::kFloat &&
         x.is_contiguous();
}

bool takes_cuda_kernel(const at::Tensor& x, const at::Tensor& weight) {
  return x.is_cuda() && x.is_contiguous() && has_cuda_kernels() &&
         (weight.scalar_type() == x.scalar_type() || weight.scalar_type() == at::kFloat);
}

class RmsNormFunction : public Function<RmsNormFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x_TD, const at::Tensor& weight,
                            double eps) {
    at::Tensor y, rstd;
    if (takes_fast_rows(x_TD, weight)) {
      y = at::empty_like(x_TD);
      rstd = at::empty({x_TD.size(0)}, x_TD.options());
      const float *x = x_TD.const_data_ptr<float>(), *w = weight.const_data_ptr<float>();
      float *out = y.data_ptr<float>(), *r = rstd.data_ptr<float>();
      const int64_t D = x_TD.size(1);
      at::parallel_for(0, x_TD.size(0), rows_a_task(D), [&](int64_t begin, int64_t end) {
        rms_rows(x, w, out, r, begin, end, D, static_cast<float>(eps));
      });
    } else if (takes_cuda_kernel(x_TD, weight)) {
      std::tie(y, rstd) = cuda_ops::rms_norm(x_TD, weight, eps);
    } else {
      const auto x32 = x_TD.to(at::kFloat);
      rstd = at::rsqrt(x32.square().mean(-1, true).add_(eps));
      y = x32.mul(rstd).to(x_TD.scalar_type()).mul_(weight.to(x_TD.scalar_type()));
      rstd = rstd.squeeze(-1);
    }
    ctx->save_for_backward({x_TD, weight, rstd});
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto &x_TD = saved[0], &weight = saved[1], &rstd = saved[2];
    const auto dy = grads[0].contiguous();
    variable_list out(3);
    if (takes_fast_rows(x_TD, weight)) {
      if (ctx->needs_input_grad(0)) {
        out[0] = at::empty_like(x_TD);
        const float *g = dy.const_data_ptr<float>(), *x = x_TD.const_data_ptr<float>();
        const float *w = weight.const_data_ptr<float>(), *r = rstd.const_data_ptr<float>();
        float* dx = out[0].data_ptr<float>();
        const int64_t D = x_TD.size(1);
        at::parallel_for(0, x_TD.size(0), rows_a_task(D), [&](int64_t begin, int64_t end) {
          rms_rows_backward(g, x, w, r, dx, begin, end, D);
        });
      }
    } else if (ctx->needs_input_grad(0) && takes_cuda_kernel(x_TD, weight)) {
      out[0] = cuda_ops::rms_norm_backward(dy, x_TD, weight, rstd);
    } else if (ctx->needs_input_grad(0)) {
      const auto x32 = x_TD.to(at::kFloat), r = rstd.unsqueeze(-1);
      const auto g = dy.to(at::kFloat).mul(weight);  // dy is the engine's, and may be float32
      const auto k = g.mul(x32).mean(-1, true).mul_(r.pow(3));
      out[0] = g.mul_(r).sub_(x32.mul(k)).to(x_TD.scalar_type());
    }
    if (ctx->needs_input_grad(1)) {
      const auto normed = x_TD.to(at::kFloat).mul(rstd.unsqueeze(-1));
      out[1] = normed.mul_(dy).sum(0).to(weight.scalar_type());
    }
    return out;
  }
};

}  // namespace

RmsNorm::RmsNorm(std::string path, int64_t width, double eps, at::TensorOptions options)
    : path_(std::move(path)), eps_(eps), weight_(at::empty({width}, options)) {}

at::Tensor RmsNorm::forward(const at::Tensor& x_TD) const {
  return RmsNormFunction::apply(x_TD, weight_, eps_);
}

at::Tensor rms_norm_plain(const at::Tensor& x_TD, const at::Tensor& weight, double eps) {
  const auto x32 = x_TD.to(at::kFloat);
  return weight * (x32 * at::rsqrt(x32.square().mean(-1, true) + eps)).to(x_TD.scalar_type());
}

LayerNorm::LayerNorm(std::string path, int64_t width, double eps, at::TensorOptions options)
    : path_(std::move(path)),
      eps_(eps),
      weight_(at::empty({width}, options)),
      bias_(at::empty({width}, options)) {}

at::Tensor LayerNorm::forward(const at::Tensor& x) const {
  return at::layer_norm(x, {weight_.size(0)}, weight_.to(x.scalar_type()),
                        bias_.to(x.scalar_type()), eps_);
}

void LayerNorm::visit_weights(const WeightVisitor& visit) const {
  visit(path_ + ".weight", weight_);
  visit(path_ + ".bias", bias_);
}

}  // namespace finer
