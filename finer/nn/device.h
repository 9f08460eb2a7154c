#pragma once

#include <c10/core/Device.h>

#include <array>
#include <cstdint>
#include <string>

namespace finer {

/// The device that a recipe's `device:` names: "cpu", "cuda", "cuda:N", or "auto" (the first CUDA
/// device where there is one, else the CPU).
///
/// Opens LibTorch's CUDA half, and finer's kernels where they were built, when a CUDA device may be
/// meant: "cpu" opens nothing, "auto" only where the driver's device node is there. Must come
/// before anything else asks LibTorch about CUDA, because LibTorch keeps its first answer.
///
/// Throws: ConfigError for another name, or where the CUDA device cannot be had.
at::Device open_device(const std::string& name);

/// Most memory that was held at once so far: bytes of tensors by the caching allocator on CUDA
/// (since the process began or reset_peak_bytes), the process's resident memory (VmHWM) on the CPU.
int64_t peak_bytes(at::Device device);

/// Starts the CUDA peak anew; nothing on the CPU.
void reset_peak_bytes(at::Device device);

/// "NVIDIA H100 80GB HBM3", or the processor's model name; "unknown" where the system does not say.
std::string device_name(at::Device device);

/// The driver's identity of a CUDA device, equal in all processes that see it; zeros where it is
/// not known, and for the CPU.
std::array<uint32_t, 4> device_uuid(at::Device device);

}  // namespace finer
