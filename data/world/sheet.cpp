#include "data/world/sheet.h"

#include "finer/core/error.h"

#include <algorithm>

namespace finer::data {

namespace {

constexpr int64_t kGapPx = 4;
constexpr uint8_t kPaper = 250;

}  // namespace

Image contact_sheet(const std::vector<Image>& pictures, int64_t columns, int64_t zoom) {
  FINER_CHECK(!pictures.empty() && columns > 0 && zoom > 0, "pictures, columns and zoom");
  const int64_t side = pictures.front().width * zoom + kGapPx;
  const auto count = static_cast<int64_t>(pictures.size());
  const int64_t num_rows = (count + columns - 1) / columns;
  Image sheet{columns * side + kGapPx, num_rows * side + kGapPx, {}};
  sheet.rgb.assign(static_cast<size_t>(sheet.width * sheet.height * 3), kPaper);
  for (int64_t i = 0; i < count; ++i) {
    const Image& picture = pictures[static_cast<size_t>(i)];
    const int64_t left = i % columns * side + kGapPx, top = i / columns * side + kGapPx;
    for (int64_t y = 0; y < picture.height * zoom; ++y) {
      for (int64_t x = 0; x < picture.width * zoom; ++x) {
        const auto* from =
            &picture.rgb[static_cast<size_t>((y / zoom * picture.width + x / zoom) * 3)];
        std::copy_n(from, 3,
                    &sheet.rgb[static_cast<size_t>(((top + y) * sheet.width + left + x) * 3)]);
      }
    }
  }
  return sheet;
}

}  // namespace finer::data
