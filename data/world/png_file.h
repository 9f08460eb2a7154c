#pragma once

#include "finer/image/decode.h"

#include <string>

namespace finer::data {

/// The picture as the bytes of an 8-bit RGB PNG; the same picture gives the same bytes.
std::string png_bytes(const Image& image);

}  // namespace finer::data
