#include "finer/image/formats.h"

#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>

namespace finer {
namespace {

// libpng leaves an error by longjmp: see the remark in jpeg.cpp.
struct PngReader {
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::span<const uint8_t> left;
  std::jmp_buf escape{};
  char message[160] = "";

  explicit PngReader(std::span<const uint8_t> bytes);
  ~PngReader() { png_destroy_read_struct(&png, &info, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  bool read_header();
  bool read_rows(uint8_t* out, size_t row_bytes, bool as_rgb);
  ReadFailure failure() const { return ReadFailure(message); }
};

[[noreturn]] void on_png_error(png_structp png, png_const_charp text) {
  auto* reader = static_cast<PngReader*>(png_get_error_ptr(png));
  if (reader->message[0] == '\0') {
    std::snprintf(reader->message, sizeof reader->message, "is broken: %s", text);
  }
  std::longjmp(reader->escape, 1);
}

void on_png_warning(png_structp, png_const_charp) {}

void on_png_read(png_structp png, png_bytep out, size_t count) {
  auto* reader = static_cast<PngReader*>(png_get_io_ptr(png));
  if (count > reader->left.size()) {
    std::snprintf(reader->message, sizeof reader->message, "is cut short");
    png_error(png, "cut short");
  }
  std::memcpy(out, reader->left.data(), count);
  reader->left = reader->left.subspan(count);
}

PngReader::PngReader(std::span<const uint8_t> bytes) : left(bytes) {
  png = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_png_error, on_png_warning);
  if (png != nullptr) info = png_create_info_struct(png);
  if (info == nullptr) {
    png_destroy_read_struct(&png, nullptr, nullptr);
    throw ReadFailure("cannot be read: libpng does not start");
  }
}

bool PngReader::read_header() {
  if (setjmp(escape)) return false;
  png_set_read_fn(png, this, on_png_read);
  png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // blank_image() has the real limit
  // Text, profiles and the like are skipped unread: they cannot fail, nor unpack to gigabytes.
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  png_read_info(png, info);
  return true;
}

bool PngReader::read_rows(uint8_t* out, size_t row_bytes, bool as_rgb) {
  if (setjmp(escape)) return false;
  if (as_rgb) {
    png_set_expand_gray_1_2_4_to_8(png);
    png_set_strip_16(png);  // the high byte, as PIL
    png_set_strip_alpha(png);
    png_set_gray_to_rgb(png);
  } else {
    png_set_packing(png);  // one index a byte
  }
  const int passes = png_set_interlace_handling(png);
  png_read_update_info(png, info);
  if (png_get_rowbytes(png, info) != row_bytes) png_error(png, "unexpected row size");
  const auto height = png_get_image_height(png, info);
  for (int pass = 0; pass < passes; ++pass) {
    for (size_t y = 0; y < height; ++y) png_read_row(png, out + y * row_bytes, nullptr);
  }
  return true;
}

}  // namespace

Image read_png(std::span<const uint8_t> bytes, const ReadRequest& request) {
  PngReader reader(bytes);
  // IHDR stands first, so the size needs no walk over the chunks before the pixels.
  if (bytes.size() < 24) throw ReadFailure("is cut short");
  const auto side = [&](size_t at) {
    return int64_t{bytes[at]} << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3];
  };
  if (std::memcmp(bytes.data() + 12, "IHDR", 4) != 0) throw ReadFailure("is broken: no header");
  auto image = blank_image(side(16), side(20), request);
  if (request.size_only) return image;

  if (!reader.read_header()) throw reader.failure();
  const auto colour = png_get_color_type(reader.png, reader.info);
  const auto depth = png_get_bit_depth(reader.png, reader.info);
  const auto pixels = static_cast<size_t>(image.width * image.height);
  const auto width = static_cast<size_t>(image.width);

  if (colour == PNG_COLOR_TYPE_PALETTE) {
    std::vector<uint8_t> indices(pixels);
    if (!reader.read_rows(indices.data(), width, false)) throw reader.failure();
    png_colorp entries = nullptr;
    int count = 0;
    png_get_PLTE(reader.png, reader.info, &entries, &count);
    Palette palette;
    palette.blacken();
    for (int i = 0; i < count; ++i) {
      palette.set(i, entries[i].red, entries[i].green, entries[i].blue);
    }
    palette.look_up(indices.data(), static_cast<int64_t>(pixels), image.rgb.data());
  } else if (colour == PNG_COLOR_TYPE_GRAY && depth == 16) {
    // PIL's mode "I;16": what is above 255 is white, not scaled.
    std::vector<uint8_t> levels(pixels * 2);
    if (!reader.read_rows(levels.data(), width * 2, false)) throw reader.failure();
    for (size_t i = 0; i < pixels; ++i) {
      const uint8_t level = levels[2 * i] != 0 ? 255 : levels[2 * i + 1];
      std::fill_n(image.rgb.data() + i * 3, 3, level);
    }
  } else if (!reader.read_rows(image.rgb.data(), width * 3, true)) {
    throw reader.failure();
  }
  return image;
}

}  // namespace finer
