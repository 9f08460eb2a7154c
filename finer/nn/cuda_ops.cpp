#include "finer/nn/cuda_ops.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <atomic>

namespace finer {

// What libfiner_cuda.so fills in for CUDA. Schemas live here, so that it links nothing of finer.
TORCH_LIBRARY(finer, m) {
  m.def("swiglu(Tensor gate_up) -> Tensor");
  m.def("swiglu_backward(Tensor grad, Tensor gate_up) -> Tensor");
  m.def("rms_norm(Tensor x, Tensor weight, float eps) -> (Tensor y, Tensor rstd)");
  m.def("rms_norm_backward(Tensor grad, Tensor x, Tensor weight, Tensor rstd) -> Tensor");
  m.def("rotate_heads_(Tensor(a!) x, int heads, Tensor cos, Tensor sin, int direction) -> ()");
  m.def("drop(Tensor x, float rate, int key) -> Tensor");
  m.def(
      "attend_cached(Tensor qkv, Tensor(a!) keys, Tensor(b!) values, Tensor slots, Tensor tiles, "
      "Tensor own_lists, Tensor writes_to, int heads, float scale) -> Tensor");
}

namespace {

template <class Signature>
c10::TypedOperatorHandle<Signature> kernel_named(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

}  // namespace

bool has_cuda_kernels() {
  // Never true and then false; while false it is asked again, because the library may be opened
  // yet.
  static std::atomic<bool> is_open{false};
  if (!is_open.load(std::memory_order_relaxed)) {
    const auto found = c10::Dispatcher::singleton().findSchema({"finer::swiglu", ""});
    is_open.store(found && found->hasKernelForDispatchKey(c10::DispatchKey::CUDA),
                  std::memory_order_relaxed);
  }
  return is_open.load(std::memory_order_relaxed);
}

namespace cuda_ops {

at::Tensor swiglu(const at::Tensor& gate_up_TX) {
  static const auto kernel = kernel_named<at::Tensor(const at::Tensor&)>("finer::swiglu");
  const at::AutoDispatchBelowADInplaceOrView no_autograd;
  return kernel.call(gate_up_TX);
}

at::Tensor swiglu_backward(const at::Tensor& dh_TF, const at::Tensor& gate_up_TX) {
  static const auto kernel =
      kernel_named<at::Tensor(const at::Tensor&, const at::Tensor&)>("finer::swiglu_backward");
  const at::AutoDispatchBelowADInplaceOrView no_autograd;
  return kernel.call(dh_TF, gate_up_TX);
}

std::tuple<at::Tensor, at::Tensor> rms_norm(const at::Tensor& x_TD, const at::Tensor& weight,
                                            double eps) {
  static const auto kernel = kernel_named<std::tuple<at::Tensor, at::Tensor>(
      const at::Tensor&, const at::Tensor&, double)>("finer::rms_norm");
  const at::AutoDispatchBelowADInplaceOrView no_autograd;
  return kernel.call(x_TD, weight, eps);
}

at::Tensor rms_norm_backward(const at::Tensor& dy_TD, const at::Tensor& x_TD,
                             const at::Tensor& weight, const at::Tensor& rstd_T) {
  static const auto kernel =
      kernel_named<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&,
                              const at::Tensor&)>("finer::rms_norm_backward");
  const at::AutoDispatchBelowADInplaceOrView no_autograd;
  return kernel.call(dy_TD, x_TD, weight, rstd_T);
}

void rotate_heads_(const at::Tensor& x, int64_t heads, const at::Tensor& cos, const at::Tensor& sin,
                   int64_t direction) {
  static const auto kernel =
      kernel_named<void(const at::Tensor&, int64_t, const at::Tensor&, const at::Tensor&, int64_t)>(
          "finer::rotate_heads_");
  const at::AutoDispatchBelowADInplaceOrView no_autograd;
  kernel.call(x, heads, cos, sin, direction);
}

at::Tensor drop(const at::Tensor& x_TD, double rate, uint64_t key) {
  static const auto kernel =
      kernel_named<at::Tensor(const at::Tensor&, double, int64_t)>("finer::drop");
  const at::AutoDispatchBelowADInplaceOrView no_autograd;
  return kernel.call(x_TD, rate, static_cast<int64_t>(key));
}

at::Tensor attend_cached(const at::Tensor& qkv_TX, const at::Tensor& keys, const at::Tensor& values,
                         const CachedLists& lists, int64_t heads, double scale) {
  static const auto kernel = kernel_named<at::Tensor(
      const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
      const at::Tensor&, const at::Tensor&, int64_t, double)>("finer::attend_cached");
  const at::AutoDispatchBelowADInplaceOrView no_autograd;
  return kernel.call(qkv_TX, keys, values, lists.slots, lists.tiles, lists.own_lists,
                     lists.writes_to, heads, scale);
}

}  // namespace cuda_ops
}  // namespace finer
