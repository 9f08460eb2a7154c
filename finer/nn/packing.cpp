#include "finer/nn/packing.h"

#include "finer/core/error.h"

#include <algorithm>

namespace finer {

Packing Packing::from_bounds(std::vector<int64_t> bounds, at::Device device,
                             int64_t shared_prefix) {
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
  if (shared_prefix == 0) return packing;

  packing.shared_prefix = shared_prefix;
  std::vector<int64_t> expand, kept;
  for (size_t s = 0; s + 1 < packing.bounds.size(); ++s) {
    const int64_t begin = packing.bounds[s], end = packing.bounds[s + 1];
    FINER_CHECK(end - begin > shared_prefix, "a shared prefix is shorter than every sequence");
    for (int64_t t = begin; t < end; ++t) {
      const bool is_shared = s > 0 && t - begin < shared_prefix;
      expand.push_back(is_shared ? t - begin : static_cast<int64_t>(kept.size()));
      if (!is_shared) kept.push_back(t);
    }
  }
  packing.expand_T = at::tensor(expand, at::kLong).to(device);
  packing.kept = at::tensor(kept, at::kLong).to(device);
  return packing;
}

}  // namespace finer
