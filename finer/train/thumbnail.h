#pragma once

#include "finer/image/decode.h"

#include <cstdint>
#include <string>

namespace finer {

/// An encoded picture for a page.
struct Thumbnail {
  std::string bytes;
  std::string mime;
};

/// The picture made small enough for the report: its longer side is at most `side_px`, never larger
/// than before. Up to 128 px it is a PNG, so that the miniature's pictures keep their exact pixels;
/// above, a lossy WebP. Throws: std::logic_error for an empty picture.
Thumbnail make_thumbnail(const Image& image, int64_t side_px = 320);

}  // namespace finer
