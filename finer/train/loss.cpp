#include "finer/train/loss.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/grad_mode.h>

#include <algorithm>

namespace finer {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

class HeadLossFunction : public Function<HeadLossFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& hidden_MD,
                            const at::Tensor& head_VD, const at::Tensor& targets,
                            const at::Tensor& weights, int64_t chunk, bool needs_dh,
                            bool needs_dW) {
    const auto W = head_VD.to(hidden_MD.scalar_type());
    auto loss = at::zeros({}, weights.options());
    at::Tensor dh, dW;
    if (needs_dh) dh = at::empty_like(hidden_MD);
    if (needs_dW) dW = at::zeros(head_VD.sizes(), head_VD.options().dtype(at::kFloat));
    for (int64_t begin = 0; begin < hidden_MD.size(0); begin += chunk) {
      const int64_t rows = std::min(chunk, hidden_MD.size(0) - begin);
      const auto h = hidden_MD.narrow(0, begin, rows), w = weights.narrow(0, begin, rows);
      const auto target = targets.narrow(0, begin, rows).unsqueeze(1);
      auto log_p = at::log_softmax(at::mm(h, W.t()), 1, at::kFloat);
      loss.sub_(log_p.gather(1, target).squeeze(1).mul_(w).sum());
      if (!needs_dh && !needs_dW) continue;
      auto d = log_p.exp_();
      d.scatter_add_(1, target, at::full_like(target, -1, log_p.options()));
      d.mul_(w.unsqueeze(1));
      const auto d_typed = d.to(h.scalar_type());
      if (needs_dh) {
        auto dh_rows = dh.narrow(0, begin, rows);
        at::mm_out(dh_rows, d_typed, W);
      }
      if (needs_dW) dW.add_(at::mm(d_typed.t(), h));
    }
    ctx->save_for_backward({dh, dW});
    return loss;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    variable_list out(7);
    if (saved[0].defined()) out[0] = saved[0] * grads[0].to(saved[0].scalar_type());
    if (saved[1].defined()) out[1] = saved[1] * grads[0];
    return out;
  }
};

}  // namespace

at::Tensor head_loss(const at::Tensor& hidden_MD, const at::Tensor& head_VD,
                     const at::Tensor& targets, const at::Tensor& weights, int64_t chunk) {
  const bool on = at::GradMode::is_enabled();
  return HeadLossFunction::apply(hidden_MD, head_VD, targets, weights, chunk,
                                 on && hidden_MD.requires_grad(), on && head_VD.requires_grad());
}

at::Tensor head_loss_plain(const at::Tensor& hidden_MD, const at::Tensor& head_VD,
                           const at::Tensor& targets, const at::Tensor& weights) {
  const auto log_p = at::log_softmax(at::mm(hidden_MD, head_VD.t()), 1, at::kFloat);
  return log_p.gather(1, targets.unsqueeze(1)).squeeze(1).mul(weights).sum().neg();
}

}  // namespace finer
