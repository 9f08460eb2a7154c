#include "finer/nn/packing.h"

#include "finer/core/error.h"
#include "finer/nn/upload.h"

#include <algorithm>

namespace finer {

Packing Packing::from_bounds(std::vector<int64_t> bounds, at::Device device,
                             const std::vector<int64_t>& shared) {
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
  packing.positions_T = upload(positions, device);
  auto bounds_host = at::empty({static_cast<int64_t>(bounds.size())}, at::kInt);
  std::copy(bounds.begin(), bounds.end(), bounds_host.data_ptr<int32_t>());
  packing.bounds_device = upload(bounds_host, device);
  packing.bounds = std::move(bounds);
  if (std::all_of(shared.begin(), shared.end(), [](int64_t n) { return n == 0; })) return packing;

  FINER_CHECK(shared.size() + 1 == packing.bounds.size() && shared[0] == 0,
              "a number of shared tokens for each sequence, the first 0");
  std::vector<int64_t> expand, kept;
  for (size_t s = 0; s + 1 < packing.bounds.size(); ++s) {
    const int64_t begin = packing.bounds[s], end = packing.bounds[s + 1];
    FINER_CHECK(shared[s] < end - begin && (s == 0 || shared[s] <= begin - packing.bounds[s - 1]),
                "fewer shared tokens than the sequence has, and no more than the one before it");
    for (int64_t t = begin; t < begin + shared[s]; ++t) {
      const int64_t row = expand[static_cast<size_t>(packing.bounds[s - 1] + t - begin)];
      if (t > begin && row == expand.back() + 1) {
        ++packing.repeats.back().length;
      } else {
        packing.repeats.push_back({t, row, 1});
      }
      expand.push_back(row);
    }
    for (int64_t t = begin + shared[s]; t < end; ++t) {
      expand.push_back(static_cast<int64_t>(kept.size()));
      kept.push_back(t);
    }
  }
  packing.expand_T = upload(at::tensor(expand, at::kLong), device);
  packing.kept = upload(at::tensor(kept, at::kLong), device);
  return packing;
}

}  // namespace finer
