#include "finer/nn/device.h"

#include "finer/core/error.h"
#include "finer/nn/cuda_ops.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/ones.h>
#include <catch2/catch.hpp>
#include <dlfcn.h>

#include <filesystem>

TEST_CASE("a device is named cpu, cuda, cuda:N or auto", "[device]") {
  CHECK(finer::open_device("cpu") == at::Device(at::kCPU));
  for (const char* name :
       {"gpu", "cuda:", "cuda:-1", "cuda:1x", "cuda:128", "CUDA", "", "mps", "cpu:0"}) {
    CHECK_THROWS_AS(finer::open_device(name), finer::ConfigError);
    CHECK_THROWS_WITH(finer::open_device(name), Catch::Contains("none of cpu, cuda, cuda:N, auto"));
  }
}

TEST_CASE("a CUDA device beyond the last is refused in one line", "[device]") {
  CHECK_THROWS_AS(finer::open_device("cuda:127"), finer::ConfigError);
  CHECK_THROWS_WITH(finer::open_device("cuda:127"),
                    Catch::StartsWith("device: cuda:127 was asked for, but ") &&
                        Catch::Contains("use device: cpu or auto"));
}

TEST_CASE("auto is the CPU where there is no driver", "[device]") {
  if (std::filesystem::exists("/dev/nvidiactl") || std::filesystem::exists("/dev/dxg")) return;
  CHECK(finer::open_device("auto") == at::Device(at::kCPU));
}

TEST_CASE("the CPU's peak covers what was touched", "[device]") {
  constexpr int64_t kBytes = int64_t{64} << 20;
  const auto touched = at::ones({kBytes}, at::kByte);
  const int64_t peak = finer::peak_bytes(at::kCPU);
  CHECK(peak > kBytes);
  finer::reset_peak_bytes(at::kCPU);
  CHECK(finer::peak_bytes(at::kCPU) >= peak);
  CHECK(!finer::device_name(at::kCPU).empty());
}

#ifdef FINER_CUDA_LIBRARY
namespace {

// open_device has opened them where there is a device.
void open_built_kernels() {
  if (finer::has_cuda_kernels()) return;
  const void* library = dlopen(FINER_CUDA_LIBRARY, RTLD_NOW | RTLD_GLOBAL);
  INFO((library != nullptr ? "" : dlerror()));
  REQUIRE(library != nullptr);
  REQUIRE(finer::has_cuda_kernels());
}

}  // namespace

TEST_CASE("the library of kernels opens without a device and fills every operator", "[cuda]") {
  open_built_kernels();
  for (const char* name : {"swiglu", "swiglu_backward", "rms_norm", "rms_norm_backward",
                           "rotate_heads_", "drop", "attend_cached"}) {
    INFO(name);
    const auto found = c10::Dispatcher::singleton().findSchema({std::string("finer::") + name, ""});
    REQUIRE(found);
    CHECK(found->hasKernelForDispatchKey(c10::DispatchKey::CUDA));
  }
}

TEST_CASE("callers and kernels agree on the signatures of the operators", "[cuda]") {
  open_built_kernels();
  // A wrong signature is found before the backend is: what is left to complain of is the CPU
  // tensor.
  const auto complaint = Catch::Contains("'CPU' backend");
  const auto x = at::ones({2, 4}), row = at::ones({4}), rstd = at::ones({2});
  namespace ops = finer::cuda_ops;
  CHECK_THROWS_WITH(ops::swiglu(x), complaint);
  CHECK_THROWS_WITH(ops::swiglu_backward(x, x), complaint);
  CHECK_THROWS_WITH(ops::rms_norm(x, row, 1e-5), complaint);
  CHECK_THROWS_WITH(ops::rms_norm_backward(x, x, row, rstd), complaint);
  CHECK_THROWS_WITH(ops::rotate_heads_(x, 1, x, x, 1), complaint);
  CHECK_THROWS_WITH(ops::drop(x, 0.5, 1), complaint);
  CHECK_THROWS_WITH(ops::attend_cached(x, x, x, {x, x, x, x}, 1, 1), complaint);
}
#endif

TEST_CASE("the device's peak counts tensors and can be started anew", "[gpu]") {
  const at::Device device(at::kCUDA, 0);
  finer::reset_peak_bytes(device);
  const int64_t before = finer::peak_bytes(device);
  {
    const auto held = at::ones({8 << 20}, at::TensorOptions(device).dtype(at::kByte));
    CHECK(finer::peak_bytes(device) >= before + (8 << 20));
  }
  finer::reset_peak_bytes(device);
  CHECK(finer::peak_bytes(device) < before + (8 << 20));
  CHECK(finer::device_name(device) != "unknown");
}
