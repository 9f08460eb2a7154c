// The kernels of finer/cuda on a card, in turn with the ATen operators that they stand for:
// microseconds, bytes that have to move, and the share of what a plain copy moves in the same time.
#include "finer/core/error.h"
#include "finer/nn/cuda_ops.h"
#include "finer/nn/device.h"
#include "finer/nn/mlp.h"
#include "finer/nn/norm.h"
#include "finer/nn/rope.h"
#include "tools/cli.h"

#include <ATen/ATen.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

void wait_for_card() { c10::impl::getDeviceGuardImpl(at::kCUDA)->synchronizeDevice(0); }

// Median of nine runs of twenty calls, microseconds a call.
double microseconds(const std::function<void()>& call) {
  constexpr int kCalls = 20, kRuns = 9;
  std::vector<double> found;
  for (int run = -1; run < kRuns; ++run) {
    wait_for_card();
    const auto start = Clock::now();
    for (int i = 0; i < kCalls; ++i) call();
    wait_for_card();
    const std::chrono::duration<double, std::micro> spent = Clock::now() - start;
    if (run >= 0) found.push_back(spent.count() / kCalls);
  }
  std::nth_element(found.begin(), found.begin() + kRuns / 2, found.end());
  return found[kRuns / 2];
}

struct Bench {
  double copy_bytes_a_us;

  void row(const char* name, double bytes, const std::function<void()>& kernel,
           const std::function<void()>& twin) const {
    const double ours = microseconds(kernel), theirs = microseconds(twin);
    std::printf("%-18s%9.1f%9.1f%8.2fx%9.1f MB%8.0f%%\n", name, ours, theirs, theirs / ours,
                bytes / 1e6, 100 * bytes / ours / copy_bytes_a_us);
  }
};

// `forward` and then the gradient of its output, as a training step asks for it.
std::function<void()> both(const at::Tensor& x, const at::Tensor& grad,
                           const std::function<at::Tensor(const at::Tensor&)>& forward) {
  return [=] {
    const auto leaf = x.detach().requires_grad_(true);
    forward(leaf).backward(grad);
  };
}

int measure() {
  const auto device = finer::open_device("cuda");
  if (!finer::has_cuda_kernels()) throw finer::ConfigError("libfiner_cuda.so is not there");
  const auto options = at::TensorOptions(device).dtype(at::kBFloat16);
  constexpr int64_t T = 8192, D = 4096, F = 11008, kHeads = 64, C = 128;
  const auto source = at::randn({T, 4 * D}, options), target = at::empty_like(source);
  const double copied = 2.0 * static_cast<double>(source.nbytes());
  const Bench bench{copied / microseconds([&] { target.copy_(source); })};
  std::printf("%s, bfloat16, %lld tokens of LLaMA 7B; a copy moves %.2f TB/s\n",
              finer::device_name(device).c_str(), static_cast<long long>(T),
              bench.copy_bytes_a_us / 1e6);
  std::printf("%-18s%9s%9s%9s%12s%9s\n", "", "kernel us", "ATen us", "ratio", "least", "of copy");
  const double values = 2.0 * T;  // bytes of a column
  const auto gate_up = at::randn({T, 2 * F}, options), dh = at::randn({T, F}, options);
  {
    const at::NoGradGuard no_gradients;
    bench.row(
        "swiglu", 3 * F * values, [&] { finer::swiglu(gate_up); },
        [&] { finer::swiglu_plain(gate_up); });
  }
  bench.row("swiglu, both", 8 * F * values, both(gate_up, dh, finer::swiglu),
            both(gate_up, dh, finer::swiglu_plain));
  const auto x = at::randn({T, D}, options), dy = at::randn({T, D}, options);
  finer::RmsNorm norm("norm", D, 1e-5, options);
  norm.weight().fill_(1.1);
  const auto weight = norm.weight().detach();
  const auto plain = [&](const at::Tensor& rows) {
    return finer::rms_norm_plain(rows, weight, 1e-5);
  };
  {
    const at::NoGradGuard no_gradients;
    bench.row(
        "RMSNorm", 2 * D * values, [&] { norm.forward(x); }, [&] { plain(x); });
  }
  bench.row("RMSNorm, both", 5 * D * values,
            both(x, dy, [&](const at::Tensor& rows) { return norm.forward(rows); }),
            both(x, dy, plain));
  const auto qkv = at::randn({T, 3 * D}, options);
  const auto angles = at::randn({T, C / 2}, options.dtype(at::kFloat));
  const auto cos = angles.cos(), sin = angles.sin();
  const auto heads = qkv.narrow(1, 0, kHeads * C).view({T, kHeads, C});
  const at::NoGradGuard no_gradients;
  bench.row(
      "rotary", 2 * kHeads * C * values, [&] { finer::rotate_heads_(qkv, kHeads, cos, sin, +1); },
      [&] { finer::rotate_plain(heads, cos, sin); });
  return 0;
}

}  // namespace

int main() { return finer::cli::run("cuda_kernels", measure); }
