#include "data/world/png_file.h"

#include "finer/core/error.h"

#include <png.h>
#include <zlib.h>

#include <string>
#include <vector>

namespace finer::data {

namespace {

// libpng's errors leave by a jump, so nothing with a destructor is made between here and there.
bool encode_rows(png_structp png, png_infop info, const Image& image, png_bytepp rows) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_IHDR(png, info, static_cast<png_uint_32>(image.width),
               static_cast<png_uint_32>(image.height), 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  // In noise there are no repetitions to look for: three times as fast, and no larger.
  png_set_compression_strategy(png, Z_HUFFMAN_ONLY);
  png_set_filter(png, 0, PNG_FILTER_SUB);
  png_set_rows(png, info, rows);
  png_write_png(png, info, PNG_TRANSFORM_IDENTITY, nullptr);
  return true;
}

void append_bytes(png_structp png, png_bytep bytes, size_t count) {
  static_cast<std::string*>(png_get_io_ptr(png))->append(reinterpret_cast<char*>(bytes), count);
}

}  // namespace

std::string png_bytes(const Image& image) {
  std::string out;
  std::vector<png_bytep> rows;
  for (int64_t y = 0; y < image.height; ++y) {
    rows.push_back(const_cast<png_bytep>(image.rgb.data() + y * image.width * 3));
  }
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png != nullptr ? png_create_info_struct(png) : nullptr;
  bool is_done = false;
  if (info != nullptr) {
    png_set_write_fn(png, &out, append_bytes, nullptr);
    is_done = encode_rows(png, info, image, rows.data());
  }
  png_destroy_write_struct(&png, &info);
  FINER_CHECK(is_done, "a picture that libpng takes");
  return out;
}

}  // namespace finer::data
