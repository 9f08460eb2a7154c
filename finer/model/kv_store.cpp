#include "finer/model/kv_store.h"

#include "finer/core/error.h"

#include <c10/core/CachingDeviceAllocator.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace finer {

namespace {

int64_t free_bytes(at::Device device) {
  if (device.is_cuda()) {
    const auto index = std::max<c10::DeviceIndex>(device.index(), 0);
    return static_cast<int64_t>(c10::getDeviceAllocator(device.type())->getMemoryInfo(index).first);
  }
  std::ifstream in("/proc/meminfo");
  std::string key;
  for (int64_t kilobytes = 0; in >> key >> kilobytes; in.ignore(64, '\n')) {
    if (key == "MemAvailable:") return kilobytes * 1024;
  }
  return int64_t{1} << 30;
}

}  // namespace

KvStore::KvStore(const LanguageConfig& config, at::TensorOptions options)
    : options_(options),
      num_heads_(config.num_kv_heads),
      head_size_(config.head_size),
      layers_(static_cast<size_t>(config.num_layers)) {
  for (auto& layer : layers_) {
    layer.keys = at::empty({num_heads_, 0, head_size_}, options_);
    layer.values = at::empty({num_heads_, 0, head_size_}, options_);
  }
}

void KvStore::grow(int64_t capacity) {
  FINER_CHECK(capacity > capacity_ && capacity < std::numeric_limits<int32_t>::max(),
              "slots are counted in 32 bits");
  for (auto& layer :
       layers_) {  // one at a time: old and new of all layers would be twice the cache
    for (auto* rows : {&layer.keys, &layer.values}) {
      if (rows->size(1) >= capacity) continue;
      auto wider = at::empty({num_heads_, capacity, head_size_}, options_);
      wider.narrow(1, 0, capacity_).copy_(rows->narrow(1, 0, capacity_));
      *rows = wider;
    }
  }
  std::vector<int32_t> added;  // the lowest is taken first
  for (int64_t slot = capacity - 1; slot >= capacity_; --slot)
    added.push_back(static_cast<int32_t>(slot));
  free_.insert(free_.begin(), added.begin(), added.end());
  capacity_ = capacity;
}

int32_t KvStore::take() {
  FINER_CHECK(!free_.empty(), "slots are made free before they are taken");
  const int32_t slot = free_.back();
  free_.pop_back();
  return slot;
}

void KvStore::give_back(const std::vector<int32_t>& slots) {
  free_.insert(free_.end(), slots.rbegin(), slots.rend());
}

void KvStore::clear() {
  free_.clear();
  for (int64_t slot = capacity_ - 1; slot >= 0; --slot) free_.push_back(static_cast<int32_t>(slot));
}

int64_t KvStore::affordable_tokens(const LanguageConfig& config, at::TensorOptions options) {
  const int64_t token_bytes = 2 * config.num_layers * config.num_kv_heads * config.head_size *
                              static_cast<int64_t>(options.dtype().itemsize());
  const int64_t tokens = free_bytes(options.device()) / 4 / std::max<int64_t>(1, token_bytes);
  return std::clamp<int64_t>(tokens, config.max_positions, int64_t{1} << 24);
}

}  // namespace finer
