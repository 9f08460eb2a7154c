#include "finer/nn/recompute.h"

#include "finer/nn/linear.h"

#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/grad_mode.h>

namespace finer {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;
using Body = std::function<at::Tensor(const at::Tensor&)>;

struct BodyHolder : torch::CustomClassHolder {
  explicit BodyHolder(Body body) : body(std::move(body)) {}
  Body body;
};

// `anchor` requires a gradient, so that the node exists even where x needs none (the first layer).
struct RecomputeFunction : public Function<RecomputeFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& /*anchor*/,
                            Body body, uint64_t dropout_seed) {
    ctx->save_for_backward({x});
    ctx->saved_data["seed"] = static_cast<int64_t>(dropout_seed);
    auto out = body(x);  // forward() of a Function runs without gradients
    ctx->saved_data["body"] =
        c10::IValue::make_capsule(c10::make_intrusive<BodyHolder>(std::move(body)));
    return out;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto holder =
        c10::static_intrusive_pointer_cast<BodyHolder>(ctx->saved_data["body"].toCapsule());
    const auto x = ctx->get_saved_variables()[0].detach().requires_grad_(ctx->needs_input_grad(0));
    {
      at::AutoGradMode with_gradients(true);
      const DropoutSeed same_masks(static_cast<uint64_t>(ctx->saved_data["seed"].toInt()));
      const auto y = holder->body(x);
      torch::autograd::backward({y}, {grads[0]});
    }
    variable_list out(4);
    if (ctx->needs_input_grad(0)) out[0] = x.grad();
    return out;
  }
};

}  // namespace

at::Tensor recompute(const Body& body, const at::Tensor& x) {
  if (!at::GradMode::is_enabled()) return body(x);
  const auto anchor = at::empty({0}, x.options()).requires_grad_(true);
  return RecomputeFunction::apply(x, anchor, body, DropoutSeed::current());
}

}  // namespace finer
