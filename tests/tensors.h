#pragma once

#include "finer/core/error.h"
#include "finer/io/tensor_file.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <string>

namespace finer {

using Tensors = std::map<std::string, at::Tensor>;

inline std::string golden_path(const std::string& name) {
  return (std::filesystem::path(FINER_SOURCE_DIR) / "tests" / "golden" / name).string();
}

/// Everything in a safetensors file, copied.
inline Tensors read_tensors(const std::string& path) {
  Tensors out;
  const auto file = open_tensor_file(path);
  for (const auto& [name, info] : file->tensors()) out[name] = file->read(name).clone();
  return out;
}

/// What a reference library answered: tests/golden/NAME.
inline Tensors golden(const std::string& name) { return read_tensors(golden_path(name)); }

/// Normal numbers, the same at every run.
inline at::Tensor drawn(at::IntArrayRef shape, uint64_t seed, at::ScalarType dtype = at::kFloat) {
  return at::empty(shape, at::kDouble)
      .normal_(0, 1, at::make_generator<at::CPUGeneratorImpl>(seed))
      .to(dtype);
}

inline at::Tensor leaf(const at::Tensor& value) {
  return value.detach().clone().requires_grad_(true);
}

/// Largest difference, as a share of the largest value of `expected` (of 1 where that is 0).
/// Infinite for another shape or a missing tensor, so that no tolerance lets it pass.
inline double difference(const at::Tensor& found, const at::Tensor& expected) {
  constexpr double kNever = std::numeric_limits<double>::infinity();
  if (!found.defined() || !expected.defined() || found.sizes() != expected.sizes()) return kNever;
  if (found.numel() == 0) return 0;
  const auto a = found.detach().to(at::kDouble), b = expected.detach().to(at::kDouble);
  const double largest = b.abs().max().item<double>(), off = (a - b).abs().max().item<double>();
  return std::isfinite(off) ? off / (largest > 0 ? largest : 1) : kNever;
}

/// Slope of `value` (a scalar function) at x along `direction`, by central differences.
template <class Function>
double slope(const Function& value, const at::Tensor& x, const at::Tensor& direction, double step) {
  const at::NoGradGuard no_gradients;
  const double above = value(x.detach() + direction * step).template item<double>();
  const double below = value(x.detach() - direction * step).template item<double>();
  return (above - below) / (2 * step);
}

}  // namespace finer
