#include "finer/nn/packing.h"

#include "finer/core/error.h"

#include <algorithm>

namespace finer {

Packing Packing::from_bounds(std::vector<int64_t> bounds, at::Device device) {
  FINER_CHECK(bounds.size() >= 2 && bounds.front() == 0,
              "a packing has at least one sequence, from 0");
  Packing packing;
  const int64_t T = bounds.back();
  auto positions = at::empty({T}, at::kLong);
  auto* out = positions.data_ptr<int64_t>();
  for (size_t s = 0; s + 1 < bounds.size(); ++s) {
    const int64_t length = bounds[s + 1] - bounds[s];
    FINER_CHECK(length > 0, "a packed sequence has at least one token");
    for (int64_t i = 0; i < length; ++i) *out++ = i;
    packing.max_length = std::max(packing.max_length, length);
  }
  packing.positions_T = positions.to(device);
  auto bounds_host = at::empty({static_cast<int64_t>(bounds.size())}, at::kInt);
  std::copy(bounds.begin(), bounds.end(), bounds_host.data_ptr<int32_t>());
  packing.bounds_device = bounds_host.to(device);
  packing.bounds = std::move(bounds);
  return packing;
}

}  // namespace finer
