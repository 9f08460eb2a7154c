#include "finer/train/thumbnail.h"

#include "finer/core/error.h"
#include "finer/image/preprocess.h"

#include <png.h>
#include <webp/encode.h>

#include <algorithm>
#include <cmath>

namespace finer {
namespace {

constexpr int64_t kMostPngPixels = 128;
constexpr float kWebpQuality = 80;

std::string encode_png(const Image& image) {
  png_image header = {};
  header.version = PNG_IMAGE_VERSION;
  header.width = static_cast<png_uint_32>(image.width);
  header.height = static_cast<png_uint_32>(image.height);
  header.format = PNG_FORMAT_RGB;
  // The size, asked for with no buffer, then the bytes.
  png_alloc_size_t count = 0;
  FINER_CHECK(png_image_write_to_memory(&header, nullptr, &count, 0, image.rgb.data(), 0, nullptr),
              header.message);
  std::string bytes(count, '\0');
  FINER_CHECK(
      png_image_write_to_memory(&header, bytes.data(), &count, 0, image.rgb.data(), 0, nullptr),
      header.message);
  bytes.resize(count);
  return bytes;
}

std::string encode_webp(const Image& image) {
  uint8_t* encoded = nullptr;
  const auto width = static_cast<int>(image.width), height = static_cast<int>(image.height);
  const size_t count =
      WebPEncodeRGB(image.rgb.data(), width, height, 3 * width, kWebpQuality, &encoded);
  FINER_CHECK(count > 0, "libwebp encodes a small picture");
  std::string bytes(reinterpret_cast<const char*>(encoded), count);
  WebPFree(encoded);
  return bytes;
}

}  // namespace

Thumbnail make_thumbnail(const Image& image, int64_t side_px) {
  FINER_CHECK(image.width > 0 && image.height > 0 && side_px > 0, "a picture with pixels");
  const int64_t longer = std::max(image.width, image.height);
  Image small = image;
  if (longer > side_px) {
    const double scale = static_cast<double>(side_px) / static_cast<double>(longer);
    const auto side = [&](int64_t px) {
      return std::max<int64_t>(1, std::llround(scale * static_cast<double>(px)));
    };
    small = resize_bicubic_pil(image, side(image.width), side(image.height));
  }
  if (std::max(small.width, small.height) <= kMostPngPixels)
    return {encode_png(small), "image/png"};
  return {encode_webp(small), "image/webp"};
}

}  // namespace finer
