#include "finer/dist/nccl/entry.h"

#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include <chrono>
#include <memory>

extern "C" [[gnu::visibility("default")]] void* finer_nccl_backend(void* store, int rank, int size,
                                                                   int64_t timeout_ms,
                                                                   std::string* fault) {
  const std::unique_ptr<c10::intrusive_ptr<c10d::Store>> hold(
      static_cast<c10::intrusive_ptr<c10d::Store>*>(store));
  try {
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = std::chrono::milliseconds(timeout_ms);
    auto group = c10::make_intrusive<c10d::ProcessGroupNCCL>(*hold, rank, size, options);
    c10::intrusive_ptr<c10d::Backend> backend = std::move(group);
    return backend.release();
  } catch (const std::exception& error) {
    const std::string what = error.what();
    *fault = what.substr(0, what.find('\n'));
    return nullptr;
  }
}

static_assert(std::is_same_v<decltype(finer_nccl_backend), finer::dist::NcclEntry>);
