#pragma once

#include "finer/io/mapped_file.h"

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

namespace finer {

/// Where the bytes of one tensor lie, as a file claims it.
struct TensorBytes {
  std::string where;  // begins messages: the file, and the tensor's name
  at::ScalarType dtype = at::kFloat;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;  // in items; as many as `shape` has
  std::string_view bytes;        // within the map; the first item at its start
};

/// Number of items of a shape. No product on the way overflows, zero-sized dimensions left out, so
/// that strides can be computed from it as well.
/// Throws: CheckpointError for a negative size, more than 64 dimensions, or a number over 2^62.
int64_t checked_numel(const std::string& where, const std::vector<int64_t>& shape);

/// Strides of a row-major tensor. The shape has passed checked_numel.
std::vector<int64_t> row_major_strides(const std::vector<int64_t>& shape);

/// Throws: CheckpointError when an item does not lie within `bytes`. The shape has passed
/// checked_numel.
void check_strided_bounds(const TensorBytes& source);

/// A tensor over the map, which lives as long as the tensor does. Copied only when the file has put
/// it at an address that is no multiple of its item size. Throws: CheckpointError as the two above,
/// and for a truth value that is neither 0 nor 1.
at::Tensor tensor_over_map(const std::shared_ptr<const MappedFile>& map, const TensorBytes& source);

}  // namespace finer
