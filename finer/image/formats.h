#pragma once

#include "finer/image/decode.h"

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>

namespace finer {

/// Why a picture could not be read, as the end of a sentence that begins with its name: "is cut
/// short". Turned into a DataError that names the file by decode.cpp; leaves this folder nowhere
/// else.
class ReadFailure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct ReadRequest {
  int64_t max_pixels = 0;
  bool size_only = false;  // stop at the header: the Image has its sides and no pixels
};

/// A black picture, or one without pixels when only the size was asked for.
/// Every reader calls it with the sides from its header before it makes room for, or decodes, a
/// pixel. Throws: ReadFailure when a side is not above 0 or there are too many pixels.
Image blank_image(int64_t width, int64_t height, const ReadRequest& request);

/// PIL's plain conversion of ink to light, no colour profile; 255 is full ink. Writes 3 bytes.
void cmyk_to_rgb(const uint8_t cmyk[4], uint8_t* rgb);

/// 256 RGB entries. What a file does not define is as in PIL: black; but where all that it does
/// define is the grey ramp (entry i is i, i, i), PIL drops the palette, and so the ramp goes on.
class Palette {
 public:
  Palette();       // the ramp
  void blacken();  // no ramp, whatever is set
  void set(int64_t index, uint8_t red, uint8_t green,
           uint8_t blue);  // in order; above 255: ignored
  void look_up(const uint8_t* indices, int64_t count, uint8_t* rgb) const;

 private:
  uint8_t rgb_[256 * 3];
  bool is_ramp_ = true;
};

// One reader a format. Each throws ReadFailure; each is given the whole file, or for `size_only`
// maybe just its beginning, and must then fail rather than guess.
Image read_jpeg(std::span<const uint8_t> bytes, const ReadRequest& request);
Image read_png(std::span<const uint8_t> bytes, const ReadRequest& request);
Image read_webp(std::span<const uint8_t> bytes, const ReadRequest& request);
Image read_bmp(std::span<const uint8_t> bytes, const ReadRequest& request);
Image read_gif(std::span<const uint8_t> bytes, const ReadRequest& request);
Image read_tiff(std::span<const uint8_t> bytes, const ReadRequest& request);

}  // namespace finer
