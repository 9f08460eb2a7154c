#include "finer/io/mapped_tensor.h"

#include "finer/core/error.h"

#include <ATen/Functions.h>

#include <algorithm>

namespace finer {

namespace {

constexpr int64_t kMostItems = int64_t{1} << 62;

// Number of items from the first to the last one touched, or -1 where it overflows or goes
// backwards.
int64_t strided_extent(const std::vector<int64_t>& shape, const std::vector<int64_t>& strides) {
  int64_t last = 0;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 0) return 0;
    int64_t step = 0;
    if (strides[d] < 0 || __builtin_mul_overflow(shape[d] - 1, strides[d], &step) ||
        __builtin_add_overflow(last, step, &last)) {
      return -1;
    }
  }
  return last + 1;
}

}  // namespace

int64_t checked_numel(const std::string& where, const std::vector<int64_t>& shape) {
  if (shape.size() > 64) {
    throw CheckpointError(where + ": has " + std::to_string(shape.size()) +
                          " dimensions, at most 64 are possible");
  }
  int64_t product = 1;
  bool is_empty = false;
  for (const int64_t size : shape) {
    if (size < 0) throw CheckpointError(where + ": has a dimension of " + std::to_string(size));
    is_empty |= size == 0;
    if (__builtin_mul_overflow(product, std::max<int64_t>(size, 1), &product) ||
        product > kMostItems) {
      throw CheckpointError(where + ": its shape is too large to be true");
    }
  }
  return is_empty ? 0 : product;
}

std::vector<int64_t> row_major_strides(const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t d = shape.size(); d > 1; --d) {
    strides[d - 2] = strides[d - 1] * std::max<int64_t>(shape[d - 1], 1);
  }
  return strides;
}

void check_strided_bounds(const TensorBytes& source) {
  const int64_t extent = strided_extent(source.shape, source.strides);
  const size_t item_bytes = c10::elementSize(source.dtype);
  if (extent < 0 || static_cast<uint64_t>(extent) > source.bytes.size() / item_bytes) {
    throw CheckpointError(source.where + ": its shape and strides reach beyond its " +
                          std::to_string(source.bytes.size()) + " bytes");
  }
}

at::Tensor tensor_over_map(const std::shared_ptr<const MappedFile>& map,
                           const TensorBytes& source) {
  const auto options = at::TensorOptions().dtype(source.dtype);
  if (checked_numel(source.where, source.shape) == 0) return at::empty(source.shape, options);

  check_strided_bounds(source);
  const size_t item_bytes = c10::elementSize(source.dtype);
  const int64_t extent = strided_extent(source.shape, source.strides);
  const auto used = source.bytes.substr(0, static_cast<size_t>(extent) * item_bytes);
  if (source.dtype == at::kBool &&
      std::any_of(used.begin(), used.end(), [](char c) { return c != 0 && c != 1; })) {
    throw CheckpointError(source.where + ": holds a truth value that is neither 0 nor 1");
  }
  // ATen's signature has no const; the map is read-only, and TensorFile tells its readers so.
  void* data = const_cast<char*>(used.data());
  if (reinterpret_cast<uintptr_t>(data) % item_bytes != 0) {
    auto copy = at::empty({extent}, options);
    std::memcpy(copy.data_ptr(), data, used.size());
    return copy.as_strided(source.shape, source.strides);
  }
  return at::from_blob(
      data, source.shape, source.strides, [map](void*) {}, options);
}

}  // namespace finer
