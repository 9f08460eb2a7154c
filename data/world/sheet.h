#pragma once

#include "finer/image/decode.h"

#include <cstdint>
#include <vector>

namespace finer::data {

/// Pictures of one size side by side, `columns` a row, each pixel as a square of `zoom` pixels,
/// with a light gap around each. pictures: not empty.
Image contact_sheet(const std::vector<Image>& pictures, int64_t columns, int64_t zoom);

}  // namespace finer::data
