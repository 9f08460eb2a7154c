#include "finer/nn/rope.h"

#include "finer/core/error.h"
#include "finer/nn/cpu_rows.h"
#include "finer/nn/cuda_ops.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

namespace finer {

namespace {

FINER_CPU_ROWS void rotate_rows(float* x, const float* cos, const float* sin, int64_t begin,
                                int64_t end, int64_t row_stride, int64_t heads, int64_t half,
                                float sign) {
  for (int64_t t = begin; t < end; ++t) {
    const float *c = cos + t * half, *s = sin + t * half;
    for (int64_t h = 0; h < heads; ++h) {
      float* lo = x + t * row_stride + h * 2 * half;
      float* hi = lo + half;
#pragma GCC ivdep
      for (int64_t i = 0; i < half; ++i) {
        const float a = lo[i], b = hi[i], si = sign * s[i];
        lo[i] = a * c[i] - b * si;
        hi[i] = b * c[i] + a * si;
      }
    }
  }
}

}  // namespace

Rope::Rope(const RopeConfig& config, at::Device device) {
  const int64_t half = config.head_size / 2;
  auto exponents =
      at::arange(0, config.head_size, 2, at::kLong).to(at::kFloat).div_(config.head_size);
  auto inverse = at::pow(config.theta, exponents).reciprocal_().to(at::kFloat);
  if (config.scaling == "linear") {
    inverse.div_(config.factor);
  } else if (config.scaling == "llama3") {
    const double low_wavelength =
        static_cast<double>(config.original_positions) / config.low_freq_factor;
    const double high_wavelength =
        static_cast<double>(config.original_positions) / config.high_freq_factor;
    auto* f = inverse.data_ptr<float>();
    for (int64_t i = 0; i < half; ++i) {
      const double wavelength = 2.0 * M_PI / f[i];
      if (wavelength > low_wavelength) {
        f[i] = static_cast<float>(f[i] / config.factor);
      } else if (wavelength >= high_wavelength) {
        const double smooth =
            (static_cast<double>(config.original_positions) / wavelength - config.low_freq_factor) /
            (config.high_freq_factor - config.low_freq_factor);
        f[i] = static_cast<float>((1.0 - smooth) * f[i] / config.factor + smooth * f[i]);
      }
    }
  } else {
    FINER_CHECK(config.scaling == "none", "rope_scaling is checked when the config is read");
  }
  inverse_frequency_ = inverse.to(device);
  build(std::min<int64_t>(config.max_positions, 4096));
}

void Rope::build(int64_t positions) {
  const auto angles =
      at::outer(at::arange(positions, inverse_frequency_.options()), inverse_frequency_);
  cos_ = angles.cos();
  sin_ = angles.sin();
}

std::pair<at::Tensor, at::Tensor> Rope::rows(const at::Tensor& positions_T, int64_t max_length) {
  if (max_length > cos_.size(0)) build(std::max(max_length, 2 * cos_.size(0)));
  return {cos_.index_select(0, positions_T), sin_.index_select(0, positions_T)};
}

void rotate_heads_(const at::Tensor& x, int64_t heads, const at::Tensor& cos, const at::Tensor& sin,
                   int direction) {
  const int64_t T = x.size(0), half = cos.size(1);
  FINER_CHECK(x.dim() == 2 && x.stride(1) == 1 && x.size(1) >= heads * 2 * half, "rows of heads");
  if (x.is_cpu() && x.scalar_type() == at::kFloat) {
    float* data = x.data_ptr<float>();
    const float *c = cos.const_data_ptr<float>(), *s = sin.const_data_ptr<float>();
    const int64_t stride = x.stride(0);
    at::parallel_for(0, T, rows_a_task(heads * 2 * half), [&](int64_t begin, int64_t end) {
      rotate_rows(data, c, s, begin, end, stride, heads, half, static_cast<float>(direction));
    });
    return;
  }
  if (x.is_cuda() && has_cuda_kernels())
    return cuda_ops::rotate_heads_(x, heads, cos, sin, direction);
  auto heads_THC = x.narrow(1, 0, heads * 2 * half).view({T, heads, 2 * half});
  heads_THC.copy_(rotate_plain(heads_THC, cos, direction > 0 ? sin : sin.neg()));
}

at::Tensor rotate_plain(const at::Tensor& x_THC, const at::Tensor& cos, const at::Tensor& sin) {
  const auto c = cos.unsqueeze(1), s = sin.unsqueeze(1);
  const auto halves = x_THC.to(at::kFloat).chunk(2, -1);
  return at::cat({halves[0] * c - halves[1] * s, halves[1] * c + halves[0] * s}, -1)
      .to(x_THC.scalar_type());
}

}  // namespace finer
