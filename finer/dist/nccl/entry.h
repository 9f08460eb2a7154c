#pragma once

#include <cstdint>
#include <string>

namespace finer::dist {

/// The one function of libfiner_nccl.so, which links LibTorch's CUDA half and so is opened only
/// when ranks run on CUDA (decision 0002).
///
/// store    `new c10::intrusive_ptr<c10d::Store>`; taken over
/// returns  a c10d::Backend whose reference the caller owns, or null with the reason in `fault`
using NcclEntry = void*(void* store, int rank, int size, int64_t timeout_ms, std::string* fault);

inline constexpr const char* kNcclEntryName = "finer_nccl_backend";

}  // namespace finer::dist
