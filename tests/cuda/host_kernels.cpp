// The kernels, run on the CPU, against formulas in double.
#include "host_grid.h"
// After the grid, which they need:
#include "finer/cuda/rms_norm.cu"
#include "finer/cuda/rotary.cu"
#include "finer/cuda/swiglu.cu"

#include <catch2/catch.hpp>

#include <algorithm>
#include <limits>
#include <random>

namespace finer::cuda {

namespace {

template <class T>
constexpr Dtype kDtypeOf = std::is_same_v<T, float>    ? Dtype::kFloat
                           : std::is_same_v<T, __half> ? Dtype::kHalf
                                                       : Dtype::kBfloat16;

// What one or two roundings may cost, relative to 1 + |value|.
template <class T>
constexpr double kRoundings = std::is_same_v<T, float>    ? 1e-6
                              : std::is_same_v<T, __half> ? 1.2e-3
                                                          : 1e-2;

// `size` values at 16 bytes: normal ones, or NaN where a kernel has to write.
template <class T>
class Values {
 public:
  static Values normal(int64_t size, unsigned seed) {
    std::mt19937 generator(seed);
    std::normal_distribution<float> draw;
    Values values(size);
    for (int64_t i = 0; i < size; ++i) values.data()[i] = from_float<T>(draw(generator));
    return values;
  }
  static Values unwritten(int64_t size) {
    Values values(size);
    std::fill(values.data(), values.data() + size,
              from_float<T>(std::numeric_limits<float>::quiet_NaN()));
    return values;
  }
  T* data() { return reinterpret_cast<T*>(packs_.data()); }
  double operator[](int64_t i) const {
    return to_float(reinterpret_cast<const T*>(packs_.data())[i]);
  }

 private:
  explicit Values(int64_t size) : packs_((size * sizeof(T) + 15) / 16) {}
  struct alignas(16) Bytes16 {
    char bytes[16];
  };
  std::vector<Bytes16> packs_;
};

// Largest difference so far, relative to 1 + |expected|; infinite once something is not finite.
struct Worst {
  double value = 0;
  void add(double found, double expected) {
    const double off = std::abs(found - expected) / (1 + std::abs(expected));
    value = off <= value         ? value
            : std::isfinite(off) ? off
                                 : std::numeric_limits<double>::infinity();
  }
};

}  // namespace

TEMPLATE_TEST_CASE("swiglu's kernels follow the formula, whole packs and odd rows", "[cuda]", float,
                   __half, __nv_bfloat16) {
  using T = TestType;
  constexpr int64_t kRows = 3;
  for (const int64_t F : {8, 13, 40, 1000}) {
    for (const int64_t gap : {0, 1, 8}) {
      INFO("F " << F << " gap " << gap);
      const int64_t stride = 2 * F + gap;
      auto x = Values<T>::normal(kRows * stride, 1), dh = Values<T>::normal(kRows * F, 2);
      auto h = Values<T>::unwritten(kRows * F), dx = Values<T>::unwritten(kRows * 2 * F);
      launch_swiglu(kDtypeOf<T>, x.data(), h.data(), kRows, F, stride, nullptr);
      launch_swiglu_backward(kDtypeOf<T>, dh.data(), x.data(), dx.data(), kRows, F, stride,
                             nullptr);
      Worst worst;
      for (int64_t t = 0; t < kRows; ++t) {
        for (int64_t i = 0; i < F; ++i) {
          const double gate = x[t * stride + i], up = x[t * stride + F + i], d = dh[t * F + i];
          const double s = 1 / (1 + std::exp(-gate));
          worst.add(h[t * F + i], gate * s * up);
          worst.add(dx[t * 2 * F + i], d * up * s * (1 + gate * (1 - s)));
          worst.add(dx[t * 2 * F + F + i], d * gate * s);
        }
      }
      CHECK(worst.value < kRoundings<T>);
    }
  }
}

TEMPLATE_TEST_CASE("RMSNorm's kernels follow the formula, one warp and many", "[cuda]", float,
                   __half, __nv_bfloat16) {
  using T = TestType;
  constexpr int64_t kRows = 3;
  for (const int64_t D : {8, 100, 101, 264, 5000}) {
    for (const bool is_float_weight : {false, true}) {
      INFO("D " << D << " float weight " << is_float_weight);
      auto x = Values<T>::normal(kRows * D, 3), dy = Values<T>::normal(kRows * D, 4),
           w = Values<T>::normal(D, 5);
      auto w_float = Values<float>::normal(D, 6), rstd = Values<float>::unwritten(kRows);
      auto y = Values<T>::unwritten(kRows * D), dx = Values<T>::unwritten(kRows * D);
      const void* weight = is_float_weight ? static_cast<const void*>(w_float.data()) : w.data();
      const auto dtype = kDtypeOf<T>, weight_dtype = is_float_weight ? Dtype::kFloat : dtype;
      launch_rms_norm(dtype, weight_dtype, x.data(), weight, y.data(), rstd.data(), kRows, D, 1e-5F,
                      nullptr);
      launch_rms_norm_backward(dtype, weight_dtype, dy.data(), x.data(), weight, rstd.data(),
                               dx.data(), kRows, D, nullptr);
      Worst worst, worst_rstd;
      const auto weight_at = [&](int64_t d) { return is_float_weight ? w_float[d] : w[d]; };
      for (int64_t t = 0; t < kRows; ++t) {
        double squares = 0, dot = 0;
        for (int64_t d = 0; d < D; ++d) {
          squares += x[t * D + d] * x[t * D + d];
          dot += dy[t * D + d] * weight_at(d) * x[t * D + d];
        }
        const double r = 1 / std::sqrt(squares / static_cast<double>(D) + 1e-5);
        worst_rstd.add(rstd[t], r);
        for (int64_t d = 0; d < D; ++d) {
          worst.add(y[t * D + d], x[t * D + d] * r * weight_at(d));
          worst.add(dx[t * D + d], dy[t * D + d] * weight_at(d) * r -
                                       x[t * D + d] * dot / static_cast<double>(D) * r * r * r);
        }
      }
      CHECK(worst_rstd.value < 1e-6);
      CHECK(worst.value < kRoundings<T>);
    }
  }
}

TEMPLATE_TEST_CASE("the rotary kernel turns the leading heads and leaves the rest", "[cuda]", float,
                   __half, __nv_bfloat16) {
  using T = TestType;
  constexpr int64_t kRows = 3, kHeads = 5, kRest = 2;
  for (const int64_t half : {3, 8, 64}) {
    for (const float sign : {1.0F, -1.0F}) {
      INFO("half " << half << " sign " << sign);
      const int64_t stride = (kHeads + kRest) * 2 * half;
      auto before = Values<T>::normal(kRows * stride, 7), x = Values<T>::normal(kRows * stride, 7);
      auto cos = Values<float>::normal(kRows * half, 8),
           sin = Values<float>::normal(kRows * half, 9);
      launch_rotary(kDtypeOf<T>, x.data(), cos.data(), sin.data(), kRows, kHeads, half, stride,
                    sign, nullptr);
      Worst turned;
      bool is_rest_same = true;
      for (int64_t t = 0; t < kRows; ++t) {
        for (int64_t head = 0; head < kHeads + kRest; ++head) {
          for (int64_t i = 0; i < half; ++i) {
            const int64_t low = t * stride + head * 2 * half + i, high = low + half;
            if (head >= kHeads) {
              is_rest_same = is_rest_same && x[low] == before[low] && x[high] == before[high];
              continue;
            }
            const double c = cos[t * half + i], s = sign * sin[t * half + i];
            turned.add(x[low], before[low] * c - before[high] * s);
            turned.add(x[high], before[high] * c + before[low] * s);
          }
        }
      }
      CHECK(turned.value < kRoundings<T>);
      CHECK(is_rest_same);
    }
  }
}

}  // namespace finer::cuda
