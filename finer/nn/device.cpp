#include "finer/nn/device.h"

#include "finer/core/error.h"
#include "finer/core/log.h"
#include "finer/nn/cuda_ops.h"

#include <ATen/Context.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <string_view>

namespace finer {

namespace {

namespace fs = std::filesystem;

// The first value of `key` in a file of "key : value" lines, as /proc has them.
std::string proc_value(const char* file, std::string_view key) {
  std::ifstream in(file);
  std::string line;
  while (std::getline(in, line)) {
    if (line.rfind(key, 0) != 0) continue;
    const auto colon = line.find(':');
    const auto begin =
        colon == std::string::npos ? colon : line.find_first_not_of(" \t", colon + 1);
    if (begin != std::string::npos) return line.substr(begin);
  }
  return "";
}

// Folder of the libtorch_cpu.so this process runs with: its CUDA half must be of the same build.
fs::path torch_folder() {
  void* handle = dlopen("libtorch_cpu.so", RTLD_LAZY | RTLD_NOLOAD);
  link_map* map = nullptr;
  if (handle == nullptr || dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0) return {};
  return fs::path(map->l_name).parent_path();
}

bool has_driver_node() {
  return fs::exists("/dev/nvidiactl") || fs::exists("/dev/dxg");
}  // dxg: WSL 2

// Opens a library for the rest of the process; empty, or the loader's reason.
std::string open_library(const fs::path& path) {
  if (dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL) != nullptr) return "";
  const char* reason = dlerror();
  return reason != nullptr ? reason : "no reason was given";
}

// Our kernels lie beside the program or in ../lib. Without the file the plain operators do the
// work; a file that is there and does not open is a broken build, and running at half the speed
// would hide it.
void open_kernels() {
  std::error_code none;
  const auto folder = fs::read_symlink("/proc/self/exe", none).parent_path();
  for (const auto& path : {folder / "libfiner_cuda.so", folder / "../lib/libfiner_cuda.so"}) {
    if (!fs::exists(path, none)) continue;
    const auto reason = open_library(path);
    if (!reason.empty()) {
      throw ConfigError(
          "device: finer's CUDA kernels do not open (" + reason +
          "); build them against this LibTorch, or remove the file to run without them");
    }
    FINER_CHECK(has_cuda_kernels(), "libfiner_cuda.so registers its operators when it is opened");
    return;
  }
  static std::once_flag is_said;  // ranks open their device several times
  std::call_once(is_said, [] {
    log::warn(
        "device: libfiner_cuda.so is not beside the program (it is built where nvcc is), so "
        "LibTorch's operators do its work, more slowly");
  });
}

// The driver is asked directly: LibTorch's questions about a device lie in headers that only CUDA
// code includes.
template <class Function>
Function driver_function(const char* name) {
  void* driver = dlopen("libcuda.so.1", RTLD_LAZY);
  return driver == nullptr ? nullptr : reinterpret_cast<Function>(dlsym(driver, name));
}

// The driver's handle of a device; none where there is no driver or no such device.
std::optional<int> driver_handle(int index) {
  const auto init = driver_function<int (*)(unsigned)>("cuInit");
  const auto get = driver_function<int (*)(int*, int)>("cuDeviceGet");
  int handle = 0;
  if (init == nullptr || get == nullptr || init(0) != 0 || get(&handle, index) != 0)
    return std::nullopt;
  return handle;
}

// First number of the compute capability; none where the driver does not say.
std::optional<int> capability_major(int index) {
  constexpr int kMajor = 75;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
  const auto ask = driver_function<int (*)(int*, int, int)>("cuDeviceGetAttribute");
  const auto handle = driver_handle(index);
  int major = 0;
  if (ask == nullptr || !handle || ask(&major, kMajor, *handle) != 0) return std::nullopt;
  return major;
}

// N of "cuda:N", 0 of "cuda"; none for another name.
std::optional<int> cuda_index(const std::string& name) {
  if (name == "cuda") return 0;
  constexpr std::string_view kPrefix = "cuda:";
  if (name.rfind(kPrefix, 0) != 0) return std::nullopt;
  int index = -1;
  const char *begin = name.data() + kPrefix.size(), *end = name.data() + name.size();
  const auto [stop, fault] = std::from_chars(begin, end, index);
  if (fault != std::errc() || stop != end || index < 0 || index > 127) return std::nullopt;
  return index;
}

}  // namespace

at::Device open_device(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  const bool is_auto = name == "auto";
  const auto index = is_auto ? std::optional<int>(0) : cuda_index(name);
  if (!index) throw ConfigError("device: \"" + name + "\" is none of cpu, cuda, cuda:N, auto");
  if (is_auto && !has_driver_node()) return at::kCPU;

  const auto fail = [&](const std::string& reason) -> at::Device {
    if (is_auto) return at::kCPU;
    throw ConfigError("device: " + name + " was asked for, but " + reason +
                      "; use device: cpu or auto");
  };
  // Passes are of ever new lengths: memory grows in place, instead of in blocks that fit the last
  // pass only. The user's own settings stay.
  if (std::getenv("PYTORCH_ALLOC_CONF") == nullptr)
    setenv("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True", 0);
  const auto folder = torch_folder();
  const auto reason =
      open_library(folder.empty() ? fs::path("libtorch_cuda.so") : folder / "libtorch_cuda.so");
  if (!reason.empty()) return fail("LibTorch's CUDA half cannot be opened (" + reason + ")");
  const int count = c10::impl::hasDeviceGuardImpl(at::kCUDA)
                        ? static_cast<int>(c10::impl::getDeviceGuardImpl(at::kCUDA)->deviceCount())
                        : 0;
  if (count == 0) return fail("no CUDA device is there");
  if (*index >= count) {
    return fail("there " + (count == 1
                                ? std::string("is one CUDA device, cuda:0")
                                : "are " + std::to_string(count) + " CUDA devices, from cuda:0"));
  }
  constexpr int kLeastMajor = 8;  // what finer's kernels and the flash kernel are built for
  const int major = capability_major(*index).value_or(kLeastMajor);
  if (major < kLeastMajor) {
    return fail("that card is of compute capability " + std::to_string(major) +
                ".x, and 8.0 (A100) or newer is needed");
  }
  FINER_CHECK(at::hasCUDA(), "open_device comes before anything asks LibTorch about CUDA");
  at::globalContext().setAllowTF32CuDNN(false);  // float32 means float32, as in products
  open_kernels();
  return {at::kCUDA, static_cast<c10::DeviceIndex>(*index)};
}

int64_t peak_bytes(at::Device device) {
  if (device.is_cuda()) {
    const auto stats =
        c10::getDeviceAllocator(device.type())->getDeviceStats(std::max<int>(device.index(), 0));
    return stats.allocated_bytes[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)]
        .peak;
  }
  const auto kilobytes = proc_value("/proc/self/status", "VmHWM");
  int64_t value = 0;
  std::from_chars(kilobytes.data(), kilobytes.data() + kilobytes.size(), value);
  return value * 1024;
}

void reset_peak_bytes(at::Device device) {
  if (device.is_cuda())
    c10::getDeviceAllocator(device.type())->resetPeakStats(std::max<int>(device.index(), 0));
}

std::string device_name(at::Device device) {
  if (!device.is_cuda()) {
    const auto name = proc_value("/proc/cpuinfo", "model name");
    return name.empty() ? "unknown" : name;
  }
  std::array<char, 256> text{};
  const auto get_name = driver_function<int (*)(char*, int, int)>("cuDeviceGetName");
  const auto handle = driver_handle(std::max<int>(device.index(), 0));
  const bool is_known = get_name != nullptr && handle &&
                        get_name(text.data(), static_cast<int>(text.size()) - 1, *handle) == 0;
  return is_known ? text.data() : "unknown";
}

std::array<uint32_t, 4> device_uuid(at::Device device) {
  std::array<uint32_t, 4> uuid{};
  static_assert(sizeof uuid == 16, "as the driver's CUuuid");
  if (!device.is_cuda()) return uuid;
  const auto ask = driver_function<int (*)(void*, int)>("cuDeviceGetUuid");
  const auto handle = driver_handle(std::max<int>(device.index(), 0));
  if (ask == nullptr || !handle || ask(uuid.data(), *handle) != 0) return {};
  return uuid;
}

}  // namespace finer
