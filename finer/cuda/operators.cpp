// The operators of finer/nn/cuda_ops.h for CUDA: checks, memory and the launch. Registered when the
// library is opened.
#include "finer/core/mask_hash.h"
#include "finer/cuda/launch.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/library.h>

namespace finer::cuda {

namespace {

Dtype dtype_of(const at::Tensor& x) {
  switch (x.scalar_type()) {
    case at::kFloat:
      return Dtype::kFloat;
    case at::kHalf:
      return Dtype::kHalf;
    case at::kBFloat16:
      return Dtype::kBfloat16;
    default:
      TORCH_CHECK(false, "finer kernels take float32, float16 and bfloat16, not ", x.scalar_type());
  }
}

void check_rows(const at::Tensor& x) {
  TORCH_CHECK(x.is_cuda() && x.dim() == 2 && (x.size(1) <= 1 || x.stride(1) == 1),
              "rows of unit stride on CUDA");
}

void check_like(const at::Tensor& x, const at::Tensor& other) {
  TORCH_CHECK(x.device() == other.device() && x.scalar_type() == other.scalar_type(),
              "one device and dtype");
}

void check_norm(const at::Tensor& x, const at::Tensor& weight) {
  check_rows(x);
  TORCH_CHECK(x.is_contiguous() && weight.is_contiguous() && weight.numel() == x.size(1) &&
                  weight.device() == x.device() &&
                  (weight.scalar_type() == x.scalar_type() || weight.scalar_type() == at::kFloat),
              "x [T, D] contiguous, weight [D] of its dtype or float32");
}

at::Tensor swiglu(const at::Tensor& gate_up) {
  check_rows(gate_up);
  TORCH_CHECK(gate_up.size(1) % 2 == 0, "gate and up of one width");
  const c10::cuda::CUDAGuard guard(gate_up.device());
  const int64_t T = gate_up.size(0), F = gate_up.size(1) / 2;
  auto out = at::empty({T, F}, gate_up.options());
  launch_swiglu(dtype_of(gate_up), gate_up.const_data_ptr(), out.mutable_data_ptr(), T, F,
                gate_up.stride(0), c10::cuda::getCurrentCUDAStream());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  return out;
}

at::Tensor swiglu_backward(const at::Tensor& grad, const at::Tensor& gate_up) {
  check_rows(gate_up);
  check_like(gate_up, grad);
  const int64_t T = gate_up.size(0), F = gate_up.size(1) / 2;
  TORCH_CHECK(grad.dim() == 2 && grad.size(0) == T && grad.size(1) == F, "a gradient [T, F]");
  const c10::cuda::CUDAGuard guard(gate_up.device());
  const auto dh = grad.contiguous();
  auto out = at::empty({T, 2 * F}, gate_up.options());
  launch_swiglu_backward(dtype_of(gate_up), dh.const_data_ptr(), gate_up.const_data_ptr(),
                         out.mutable_data_ptr(), T, F, gate_up.stride(0),
                         c10::cuda::getCurrentCUDAStream());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  return out;
}

std::tuple<at::Tensor, at::Tensor> rms_norm(const at::Tensor& x, const at::Tensor& weight,
                                            double eps) {
  check_norm(x, weight);
  const c10::cuda::CUDAGuard guard(x.device());
  auto y = at::empty_like(x);
  auto rstd = at::empty({x.size(0)}, x.options().dtype(at::kFloat));
  launch_rms_norm(dtype_of(x), dtype_of(weight), x.const_data_ptr(), weight.const_data_ptr(),
                  y.mutable_data_ptr(), rstd.mutable_data_ptr<float>(), x.size(0), x.size(1),
                  static_cast<float>(eps), c10::cuda::getCurrentCUDAStream());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  return {y, rstd};
}

at::Tensor rms_norm_backward(const at::Tensor& grad, const at::Tensor& x, const at::Tensor& weight,
                             const at::Tensor& rstd) {
  check_norm(x, weight);
  check_like(x, grad);
  TORCH_CHECK(grad.sizes() == x.sizes(), "a gradient [T, D]");
  TORCH_CHECK(rstd.device() == x.device() && rstd.scalar_type() == at::kFloat &&
                  rstd.is_contiguous() && rstd.numel() == x.size(0),
              "rstd [T], float32");
  const c10::cuda::CUDAGuard guard(x.device());
  const auto dy = grad.contiguous();
  auto dx = at::empty_like(x);
  launch_rms_norm_backward(dtype_of(x), dtype_of(weight), dy.const_data_ptr(), x.const_data_ptr(),
                           weight.const_data_ptr(), rstd.const_data_ptr<float>(),
                           dx.mutable_data_ptr(), x.size(0), x.size(1),
                           c10::cuda::getCurrentCUDAStream());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  return dx;
}

void rotate_heads_(const at::Tensor& x, int64_t heads, const at::Tensor& cos, const at::Tensor& sin,
                   int64_t direction) {
  check_rows(x);
  for (const auto* table : {&cos, &sin}) {
    TORCH_CHECK(table->device() == x.device() && table->scalar_type() == at::kFloat &&
                    table->is_contiguous() && table->dim() == 2 && table->size(0) == x.size(0),
                "tables [T, C / 2], float32");
  }
  const int64_t half = cos.size(1);
  TORCH_CHECK(sin.size(1) == half && x.size(1) >= heads * 2 * half, "rows hold the heads");
  const c10::cuda::CUDAGuard guard(x.device());
  launch_rotary(dtype_of(x), x.mutable_data_ptr(), cos.const_data_ptr<float>(),
                sin.const_data_ptr<float>(), x.size(0), heads, half, x.stride(0),
                direction > 0 ? 1.0F : -1.0F, c10::cuda::getCurrentCUDAStream());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

at::Tensor drop(const at::Tensor& x, double rate, int64_t key) {
  check_rows(x);
  TORCH_CHECK(x.is_contiguous() && rate >= 0 && rate < 1, "x [T, D] contiguous, a rate below 1");
  const c10::cuda::CUDAGuard guard(x.device());
  auto out = at::empty_like(x);
  launch_drop(dtype_of(x), x.const_data_ptr(), out.mutable_data_ptr(), x.size(0), x.size(1),
              static_cast<uint64_t>(key), mask_kept_below(rate),
              static_cast<float>(1.0 / (1.0 - rate)), c10::cuda::getCurrentCUDAStream());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  return out;
}

at::Tensor attend_cached(const at::Tensor& qkv, const at::Tensor& keys, const at::Tensor& values,
                         const at::Tensor& slots, const at::Tensor& tiles,
                         const at::Tensor& own_lists, const at::Tensor& writes_to, int64_t heads,
                         double scale) {
  check_rows(qkv);
  for (const auto* heads_KSC : {&keys, &values}) {
    check_like(qkv, *heads_KSC);
    TORCH_CHECK(
        heads_KSC->dim() == 3 && heads_KSC->is_contiguous() && heads_KSC->sizes() == keys.sizes(),
        "keys and values [K, slots, C]");
  }
  const int64_t T = qkv.size(0), K = keys.size(0), C = keys.size(2);
  TORCH_CHECK(heads % K == 0 && takes_cached(C, heads / K) && qkv.size(1) == (heads + 2 * K) * C,
              "heads of 32, 64 or 128 values, at most 8 to a key head");
  constexpr int64_t kTileSize = sizeof(CachedTile) / sizeof(int32_t);
  for (const auto* list : {&slots, &tiles, &own_lists}) {
    TORCH_CHECK(
        list->device() == qkv.device() && list->scalar_type() == at::kInt && list->is_contiguous(),
        "lists of int32 on the device");
  }
  TORCH_CHECK(tiles.numel() % kTileSize == 0 && own_lists.numel() == 2 * T &&
                  writes_to.numel() == T && writes_to.scalar_type() == at::kLong &&
                  writes_to.device() == qkv.device() && writes_to.is_contiguous(),
              "a list and a slot a row");
  const c10::cuda::CUDAGuard guard(qkv.device());
  auto out = at::empty({T, heads * C}, qkv.options());
  launch_cached_attention(
      dtype_of(qkv),
      {qkv.const_data_ptr(), keys.mutable_data_ptr(), values.mutable_data_ptr(),
       out.mutable_data_ptr(), slots.const_data_ptr<int32_t>(),
       static_cast<const CachedTile*>(tiles.const_data_ptr()), own_lists.const_data_ptr<int32_t>(),
       writes_to.const_data_ptr<int64_t>(), T, tiles.numel() / kTileSize, qkv.stride(0), heads, K,
       C, keys.size(1), static_cast<float>(scale)},
      c10::cuda::getCurrentCUDAStream());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  return out;
}

}  // namespace

TORCH_LIBRARY_IMPL(finer, CUDA, m) {
  m.impl("swiglu", &swiglu);
  m.impl("swiglu_backward", &swiglu_backward);
  m.impl("rms_norm", &rms_norm);
  m.impl("rms_norm_backward", &rms_norm_backward);
  m.impl("rotate_heads_", &rotate_heads_);
  m.impl("drop", &drop);
  m.impl("attend_cached", &attend_cached);
}

}  // namespace finer::cuda
