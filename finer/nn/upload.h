#pragma once

#include <ATen/core/Tensor.h>

namespace finer {

/// The host's tensor on the device. On CUDA by way of page-locked memory, so that the copy waits
/// its turn behind the device's work while the host goes on; from ordinary memory the host would
/// wait.
inline at::Tensor upload(const at::Tensor& host, at::Device device) {
  if (!device.is_cuda()) return host.to(device);
  return host.pin_memory().to(device, /*non_blocking=*/true);
}

}  // namespace finer
