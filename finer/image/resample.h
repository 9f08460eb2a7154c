#pragma once

#include "finer/image/decode.h"

#include <array>
#include <cstdint>

namespace finer {

/// One axis of a resize of which only a window is wanted, from a picture with borders that are not
/// in memory.
struct ResizeAxis {
  int64_t picture_px = 0;    // the pixels that exist
  int64_t border_px = 0;     // border before them
  int64_t bordered_px = 0;   // picture and both borders: what is resized
  int64_t resized_px = 0;    // length after the resize
  int64_t window_first = 0;  // the part of it that is wanted
  int64_t window_px = 0;
};

/// The window of the bordered picture after PIL's bicubic resize, equal to the bit to doing it in
/// full.
///
/// Work and memory follow the picture and the window, never the borders or what is cut away: a 1 x
/// 65535 picture, padded or blown up to 336 on its short side, is as cheap as any other of its
/// size.
Image resample_bicubic(const Image& image, const ResizeAxis& across, const ResizeAxis& down,
                       std::array<uint8_t, 3> border);

}  // namespace finer
