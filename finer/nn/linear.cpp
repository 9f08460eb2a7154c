#include "finer/nn/linear.h"

#include "finer/core/error.h"
#include "finer/nn/dropout.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/mm.h>
#include <torch/csrc/autograd/custom_function.h>

#include <atomic>

namespace finer {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

std::atomic<uint64_t> g_dropout_seed{0};

// a b as float32 leaves want their gradients: 16-bit factors are not rounded on the way where
// there is a product that says so.
at::Tensor mm_to_float(const at::Tensor& a, const at::Tensor& b) {
  if (a.is_cuda() && a.scalar_type() != at::kFloat) return at::mm(a, b, at::kFloat);
  return at::mm(a, b).to(at::kFloat);
}

// The gradient of B [out, R] for y = scale u B^T. MKL likes the wide result better, whose transpose
// it is; on CUDA the leaf's own layout spares a copy.
at::Tensor grad_of_B(const at::Tensor& dy, const at::Tensor& u, double scale) {
  if (!dy.is_cuda()) return at::mm(u.t(), dy).t().mul(scale).to(at::kFloat);
  return mm_to_float(dy.t(), u).mul_(scale);
}

// y_part += scale * (mask(x) A^T) B^T for each adapted part; returns mask(x) A^T [T, sum of R].
at::Tensor add_adapter(const at::Tensor& y, const at::Tensor& x, const Linear& layer,
                       uint64_t seed) {
  const auto& adapter = *layer.adapter();
  const auto dtype = x.scalar_type();
  const bool drops = adapter.dropout > 0 && seed != 0;
  const auto u = at::mm(drops ? drop(x, adapter.dropout, seed, adapter.id) : x,
                        adapter.rounded_A.of(adapter.A, dtype).t());
  int64_t row = 0;
  for (const auto& part : adapter.parts) {
    auto y_part = y.narrow(1, layer.part_offset(part.part), layer.parts()[part.part].out);
    y_part.addmm_(u.narrow(1, row, part.rank), part.rounded_B.of(part.B, dtype).t(), 1, part.scale);
    row += part.rank;
  }
  return u;
}

// y = x W^T + bias, and for each adapted part: y_part += scale * (mask(x) A^T) B^T.
//
// Inputs in the order of the gradients: x [T, in], weight, bias?, A?, B of each adapted part (up to
// three). Saved: x and u = mask(x) A^T [T, sum of R]; the mask is drawn again in the backward pass.
class LinearFunction : public Function<LinearFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias_or_none,
                            const std::optional<at::Tensor>& A_or_none,
                            const std::optional<at::Tensor>& B0_or_none,
                            const std::optional<at::Tensor>& B1_or_none,
                            const std::optional<at::Tensor>& B2_or_none, const Linear* layer,
                            uint64_t seed) {
    const auto bias = bias_or_none.value_or(at::Tensor()), A = A_or_none.value_or(at::Tensor());
    const auto B0 = B0_or_none.value_or(at::Tensor()), B1 = B1_or_none.value_or(at::Tensor()),
               B2 = B2_or_none.value_or(at::Tensor());
    const auto dtype = x.scalar_type();
    const auto W_t = weight.to(dtype).t();
    auto y = bias.defined() ? at::addmm(bias.to(dtype), x, W_t) : at::mm(x, W_t);
    const auto& adapter = layer->adapter();
    const auto u = adapter ? add_adapter(y, x, *layer, seed) : at::Tensor();
    ctx->save_for_backward(
        {adapter || weight.requires_grad() ? x : at::Tensor(), weight, A, B0, B1, B2, u});
    ctx->saved_data["layer"] = static_cast<int64_t>(reinterpret_cast<intptr_t>(layer));
    ctx->saved_data["seed"] = static_cast<int64_t>(seed);
    ctx->saved_data["has_bias"] = bias.defined();
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1], &A = saved[2], &u = saved[6];
    const auto* layer =
        reinterpret_cast<const Linear*>(static_cast<intptr_t>(ctx->saved_data["layer"].toInt()));
    const auto seed = static_cast<uint64_t>(ctx->saved_data["seed"].toInt());
    const auto dy = grads[0].contiguous();
    const auto dtype = dy.scalar_type();

    variable_list out(9);
    const bool needs_dx = ctx->needs_input_grad(0);
    if (needs_dx) out[0] = at::mm(dy, weight.to(dtype));
    if (ctx->needs_input_grad(1)) out[1] = at::mm(dy.t(), x).to(weight.scalar_type());
    if (ctx->saved_data["has_bias"].toBool() && ctx->needs_input_grad(2)) {
      out[2] = dy.sum(0, false, at::kFloat);
    }
    const auto& adapter = layer->adapter();
    if (!adapter) return out;

    auto du = at::empty_like(u);
    int64_t row = 0;
    for (size_t i = 0; i < adapter->parts.size(); ++i) {
      const auto& part = adapter->parts[i];
      const auto dy_part =
          dy.narrow(1, layer->part_offset(part.part), layer->parts()[part.part].out);
      auto du_part = du.narrow(1, row, part.rank);
      const auto scaled_B = part.rounded_B.of(saved[3 + i], dtype) * part.scale;
      at::mm_out(du_part, dy_part, scaled_B);
      out[4 + i] = grad_of_B(dy_part, u.narrow(1, row, part.rank), part.scale);
      row += part.rank;
    }
    const bool drops = adapter->dropout > 0 && seed != 0;
    const auto dropped = [&](const at::Tensor& t) {
      return drops ? drop(t, adapter->dropout, seed, adapter->id) : t;
    };
    out[3] = mm_to_float(du.t(), dropped(x));
    if (needs_dx) {
      const auto& A_typed = adapter->rounded_A.of(A, dtype);
      if (drops) {
        out[0].add_(dropped(at::mm(du, A_typed)));
      } else {
        out[0].addmm_(du, A_typed);
      }
    }
    return out;
  }
};

}  // namespace

const at::Tensor& RoundedLeaf::of(const at::Tensor& leaf, at::ScalarType dtype) const {
  if (leaf.scalar_type() == dtype) return leaf;
  if (!rounded_.defined() || rounded_.scalar_type() != dtype || data_ != leaf.const_data_ptr() ||
      version_ != leaf._version()) {
    rounded_ = leaf.to(dtype);
    data_ = leaf.const_data_ptr();
    version_ = leaf._version();
  }
  return rounded_;
}

uint64_t DropoutSeed::current() { return g_dropout_seed.load(); }
DropoutSeed::DropoutSeed(uint64_t seed) : before_(g_dropout_seed.exchange(seed)) {}
DropoutSeed::~DropoutSeed() { g_dropout_seed = before_; }

Linear::Linear(std::vector<Part> parts, int64_t in, bool bias, at::TensorOptions options)
    : parts_(std::move(parts)), in_(in) {
  offsets_ = {0};
  for (const auto& part : parts_) offsets_.push_back(offsets_.back() + part.out);
  FINER_CHECK(parts_.size() >= 1 && parts_.size() <= 3, "a Linear has one to three parts");
  weight_ = at::empty({offsets_.back(), in}, options);
  if (bias) bias_ = at::empty({offsets_.back()}, options);
}

void Linear::pack() {
  packed_ = PackedWeight(weight_);
  if (packed_.defined()) weight_ = at::Tensor();
}

at::Tensor Linear::part_weight(size_t part) const {
  FINER_CHECK(weight_.defined(), "a packed weight is only multiplied with");
  return weight_.narrow(0, offsets_[part], parts_[part].out);
}

void Linear::visit_weights(const WeightVisitor& visit) const {
  for (size_t i = 0; i < parts_.size(); ++i) {
    visit(parts_[i].path + ".weight", part_weight(i));
    if (bias_.defined())
      visit(parts_[i].path + ".bias", bias_.narrow(0, offsets_[i], parts_[i].out));
  }
}

at::Tensor Linear::forward(const at::Tensor& x) const {
  const auto rows = x.dim() == 2 ? x : x.reshape({-1, x.size(-1)});
  auto y = packed_.defined() ? multiply_packed(rows) : apply_trainable(rows);
  if (x.dim() == 2) return y;
  auto shape = x.sizes().vec();
  shape.back() = y.size(1);
  return y.view(shape);
}

at::Tensor Linear::multiply_packed(const at::Tensor& rows) const {
  auto y = packed_.multiply(rows, bias_);
  const at::NoGradGuard no_gradients;
  if (adapter_) add_adapter(y, rows, *this, DropoutSeed::current());
  return y;
}

at::Tensor Linear::apply_trainable(const at::Tensor& rows) const {
  at::Tensor B[3];
  if (adapter_) {
    for (size_t i = 0; i < adapter_->parts.size(); ++i) B[i] = adapter_->parts[i].B;
  }
  // apply() takes no undefined tensor, only an empty optional
  const auto given = [](const at::Tensor& t) {
    return t.defined() ? std::optional<at::Tensor>(t) : std::nullopt;
  };
  return LinearFunction::apply(rows, weight_, given(bias_),
                               given(adapter_ ? adapter_->A : at::Tensor()), given(B[0]),
                               given(B[1]), given(B[2]), this, DropoutSeed::current());
}

}  // namespace finer
