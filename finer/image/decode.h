#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace finer {

/// An 8-bit RGB picture, rows top to bottom, 3 bytes a pixel.
struct Image {
  int64_t width = 0;   // pixels
  int64_t height = 0;  // pixels
  std::vector<uint8_t> rgb;
};

struct ImageSize {
  int64_t width = 0;
  int64_t height = 0;
};

/// What a hostile file may not exceed.
struct DecodeLimits {
  int64_t max_pixels = 178'956'970;  // PIL's own limit for decompression bombs
  int64_t max_file_bytes = int64_t{1} << 30;
};

/// Decodes JPEG, PNG, WebP (first frame), BMP, GIF (first frame) or TIFF (first page) with the
/// meaning of PIL's `Image.open(f).convert("RGB")`: alpha dropped, palette looked up, grey and CMYK
/// converted, 16-bit as PIL does, EXIF orientation ignored (but a TIFF turned upright by its tag,
/// as PIL does on loading one). Kind is told from the first bytes, never from the name.
///
/// Throws: DataError with the path and the reason (not a picture, cut short, over the limits).
Image decode_image(const std::filesystem::path& path, const DecodeLimits& limits = {});
Image decode_image_bytes(std::span<const uint8_t> bytes, const std::string& name,
                         const DecodeLimits& limits = {});

/// Width and height from the file's header alone. Throws: as decode_image.
ImageSize read_image_size(const std::filesystem::path& path);

}  // namespace finer
