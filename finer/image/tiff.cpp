#include "finer/image/formats.h"

#include <tiffio.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>

namespace finer {
namespace {

struct TiffInput {
  std::span<const uint8_t> bytes;
  uint64_t at = 0;
  char message[200] = "";  // libtiff's first complaint
};

tmsize_t on_tiff_read(thandle_t handle, void* out, tmsize_t count) {
  auto* input = static_cast<TiffInput*>(handle);
  if (count < 0 || input->at >= input->bytes.size()) return 0;
  const auto take =
      std::min<uint64_t>(static_cast<uint64_t>(count), input->bytes.size() - input->at);
  std::memcpy(out, input->bytes.data() + input->at, take);
  input->at += take;
  return static_cast<tmsize_t>(take);
}

tmsize_t on_tiff_write(thandle_t, void*, tmsize_t) { return 0; }

toff_t on_tiff_seek(thandle_t handle, toff_t offset, int whence) {
  auto* input = static_cast<TiffInput*>(handle);
  if (whence == SEEK_CUR) offset += input->at;
  if (whence == SEEK_END) offset += input->bytes.size();
  return input->at = offset;
}

int on_tiff_close(thandle_t) { return 0; }

toff_t on_tiff_size(thandle_t handle) { return static_cast<TiffInput*>(handle)->bytes.size(); }

int on_tiff_error(TIFF*, void* user, const char*, const char* format, va_list arguments) {
  auto* input = static_cast<TiffInput*>(user);
  if (input->message[0] == '\0') {
    std::vsnprintf(input->message, sizeof input->message, format, arguments);
  }
  return 1;
}

int on_tiff_warning(TIFF*, void*, const char*, const char*, va_list) { return 1; }

struct CloseTiff {
  void operator()(TIFF* tiff) const { TIFFClose(tiff); }
};
using TiffHandle = std::unique_ptr<TIFF, CloseTiff>;

ReadFailure tiff_failure(const TiffInput& input) {
  std::string_view reason = input.message;
  reason.remove_prefix(std::min(reason.size(), reason.find_first_not_of(": ")));
  return ReadFailure("is broken or cut short: " +
                     std::string(reason.empty() ? "its data does not decode" : reason));
}

TiffHandle open_tiff(TiffInput& input, const ReadRequest& request) {
  const std::unique_ptr<TIFFOpenOptions, void (*)(TIFFOpenOptions*)> options(TIFFOpenOptionsAlloc(),
                                                                             TIFFOpenOptionsFree);
  if (!options) throw std::bad_alloc();
  TIFFOpenOptionsSetErrorHandlerExtR(options.get(), on_tiff_error, &input);
  TIFFOpenOptionsSetWarningHandlerExtR(options.get(), on_tiff_warning, &input);
  // 16 bytes a pixel (four 32-bit channels) is the most that a known layout has; tables need some
  // too.
  TIFFOpenOptionsSetMaxSingleMemAlloc(
      options.get(),
      (1 << 24) + static_cast<tmsize_t>(std::min<int64_t>(request.max_pixels, 1 << 28)) * 16);
  TiffHandle tiff(TIFFClientOpenExt("", "rm", &input, on_tiff_read, on_tiff_write, on_tiff_seek,
                                    on_tiff_close, on_tiff_size, nullptr, nullptr, options.get()));
  if (!tiff) throw tiff_failure(input);
  return tiff;
}

struct TiffLayout {
  uint32_t width = 0, height = 0;
  uint16_t bits = 1, channels = 1, photometric = 0, sample_format = SAMPLEFORMAT_UINT;
  uint16_t planar = PLANARCONFIG_CONTIG, compression = COMPRESSION_NONE;
  uint16_t orientation = ORIENTATION_TOPLEFT;
  bool is_premultiplied = false;
  int needed_channels = 1;  // of which the picture is made; others are extra
};

TiffLayout tiff_layout(TIFF* tiff) {
  TiffLayout layout;
  if (!TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &layout.width) ||
      !TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &layout.height)) {
    throw ReadFailure("is broken: it does not give its width and height");
  }
  TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &layout.bits);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &layout.channels);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLEFORMAT, &layout.sample_format);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_PLANARCONFIG, &layout.planar);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_COMPRESSION, &layout.compression);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_ORIENTATION, &layout.orientation);
  TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &layout.photometric);
  uint16_t extra_count = 0;
  const uint16_t* extra = nullptr;
  if (TIFFGetField(tiff, TIFFTAG_EXTRASAMPLES, &extra_count, &extra) && extra_count > 0) {
    layout.is_premultiplied = extra[0] == EXTRASAMPLE_ASSOCALPHA;
  }
  const auto photometric = layout.photometric;
  layout.needed_channels = photometric == PHOTOMETRIC_RGB         ? 3
                           : photometric == PHOTOMETRIC_SEPARATED ? 4
                                                                  : 1;
  if (photometric == PHOTOMETRIC_RGB && layout.is_premultiplied) layout.needed_channels = 4;
  return layout;
}

// The layouts PIL knows, but for 12-bit grey and Lab, for which there is no use here.
void check_tiff_layout(const TiffLayout& layout) {
  const auto bits = layout.bits;
  const bool is_unsigned = layout.sample_format == SAMPLEFORMAT_UINT;
  const bool is_8_or_16 = is_unsigned && (bits == 8 || bits == 16);
  const bool is_packed = is_unsigned && (bits == 1 || bits == 2 || bits == 4 || bits == 8);
  bool is_known = false;
  switch (layout.photometric) {
    case PHOTOMETRIC_MINISWHITE:
    case PHOTOMETRIC_MINISBLACK:
      is_known = !layout.is_premultiplied && (layout.channels == 1 || bits == 8) &&
                 (is_packed || is_8_or_16 || layout.sample_format == SAMPLEFORMAT_INT ||
                  layout.sample_format == SAMPLEFORMAT_IEEEFP) &&
                 (bits <= 8 || bits == 16 || bits == 32) &&
                 (layout.sample_format != SAMPLEFORMAT_IEEEFP || bits == 32) &&
                 (layout.sample_format != SAMPLEFORMAT_INT || bits >= 8);
      is_known = is_known || (is_unsigned && bits == 32 && layout.channels == 1);
      break;
    case PHOTOMETRIC_RGB:
    case PHOTOMETRIC_SEPARATED:
      is_known = is_8_or_16;
      break;
    case PHOTOMETRIC_PALETTE:
      is_known = is_packed && (layout.channels == 1 || bits == 8);
      break;
    case PHOTOMETRIC_YCBCR:
      is_known = bits == 8 && layout.channels == 3;
      break;
    default:
      break;
  }
  if (!is_known || layout.channels < layout.needed_channels || layout.channels > 6) {
    throw ReadFailure("has a pixel layout that is not supported: photometric " +
                      std::to_string(layout.photometric) + ", " + std::to_string(layout.channels) +
                      " channels of " + std::to_string(bits) + " bits, sample format " +
                      std::to_string(layout.sample_format));
  }
  switch (layout.compression) {
    case COMPRESSION_NONE:
    case COMPRESSION_CCITTRLE:
    case COMPRESSION_CCITTFAX3:
    case COMPRESSION_CCITTFAX4:
    case COMPRESSION_LZW:
    case COMPRESSION_JPEG:
    case COMPRESSION_ADOBE_DEFLATE:
    case COMPRESSION_DEFLATE:
    case COMPRESSION_PACKBITS:
    case COMPRESSION_LZMA:
    case COMPRESSION_ZSTD:
      return;
    default:
      throw ReadFailure("has compression " + std::to_string(layout.compression) +
                        ", which is not supported");
  }
}

template <class Sample>
Sample tiff_sample(const uint8_t* row, int64_t index) {
  Sample sample;
  std::memcpy(&sample, row + index * static_cast<int64_t>(sizeof sample), sizeof sample);
  return sample;
}

template <class Number>
uint8_t clip_to_byte(Number value) {  // NaN is 0
  return value >= Number{255} ? uint8_t{255}
         : value > Number{0}  ? static_cast<uint8_t>(value)
                              : uint8_t{0};
}

// One sample as PIL has it after reading: grey above 8 bits is clipped, colour keeps the high byte.
uint8_t tiff_level(const TiffLayout& layout, const uint8_t* row, int64_t index) {
  const bool is_grey = layout.needed_channels == 1;
  switch (layout.bits) {
    case 8:
      return row[index];
    case 16:
      if (!is_grey) return static_cast<uint8_t>(tiff_sample<uint16_t>(row, index) >> 8);
      return layout.sample_format == SAMPLEFORMAT_INT
                 ? clip_to_byte<int>(tiff_sample<int16_t>(row, index))
                 : clip_to_byte<int>(tiff_sample<uint16_t>(row, index));
    case 32:
      return layout.sample_format == SAMPLEFORMAT_IEEEFP
                 ? clip_to_byte(tiff_sample<float>(row, index))
                 : clip_to_byte(tiff_sample<int32_t>(row, index));
    default: {
      const int bits = layout.bits;
      const int per_byte = 8 / bits;
      const int shift = 8 - bits * (static_cast<int>(index % per_byte) + 1);
      return static_cast<uint8_t>(row[index / per_byte] >> shift & ((1 << bits) - 1));
    }
  }
}

// A row of the picture (or of a tile) from its samples, `layout.needed_channels` bytes a pixel.
void tiff_row_to_rgb(const TiffLayout& layout, const Palette& palette, const uint8_t* levels,
                     int64_t count, uint8_t* rgb) {
  if (layout.photometric == PHOTOMETRIC_PALETTE) {
    palette.look_up(levels, count, rgb);
  } else if (layout.photometric == PHOTOMETRIC_SEPARATED) {
    for (int64_t x = 0; x < count; ++x) cmyk_to_rgb(levels + 4 * x, rgb + 3 * x);
  } else if (layout.needed_channels == 4) {  // premultiplied colours, divided again
    for (int64_t x = 0; x < count; ++x) {
      const int alpha = levels[4 * x + 3];
      for (int c = 0; c < 3; ++c) {
        rgb[3 * x + c] = alpha == 0 ? uint8_t{0} : clip_to_byte(levels[4 * x + c] * 255 / alpha);
      }
    }
  } else if (layout.needed_channels == 3) {
    std::memcpy(rgb, levels, static_cast<size_t>(count * 3));
  } else {
    const int scale = layout.bits < 8 ? 255 / ((1 << layout.bits) - 1) : 1;
    // PIL leaves grey of more than 8 bits as it is, also where white is zero.
    const int flip = layout.photometric == PHOTOMETRIC_MINISWHITE && layout.bits <= 8 ? 255 : 0;
    for (int64_t x = 0; x < count; ++x) {
      std::fill_n(rgb + 3 * x, 3, static_cast<uint8_t>((levels[x] * scale) ^ flip));
    }
  }
}

/// Reads strips or tiles one after the other; planes of a picture with separate ones side by side.
void read_tiff_blocks(TIFF* tiff, TiffInput& input, const TiffLayout& layout,
                      const Palette& palette, Image& image) {
  const bool is_tiled = TIFFIsTiled(tiff) != 0;
  const bool has_planes = layout.planar == PLANARCONFIG_SEPARATE && layout.channels > 1;
  const int planes = has_planes ? layout.needed_channels : 1;
  const int channels_in_plane = has_planes ? 1 : layout.channels;
  uint32_t block_width = layout.width, block_height = layout.height;
  if (is_tiled) {
    TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &block_width);
    TIFFGetField(tiff, TIFFTAG_TILELENGTH, &block_height);
  } else {
    TIFFGetFieldDefaulted(tiff, TIFFTAG_ROWSPERSTRIP, &block_height);
    block_height = std::min(block_height, layout.height);
  }
  if (block_width == 0 || block_height == 0) throw ReadFailure("is broken: empty strips or tiles");
  const uint64_t row_bytes = (uint64_t{block_width} * layout.bits * channels_in_plane + 7) / 8;
  const uint64_t block_bytes = is_tiled ? TIFFTileSize64(tiff) : TIFFStripSize64(tiff);
  // A tile may reach over the edge, but not be many times the picture.
  const uint64_t reasonable = (uint64_t{1} << 28) + image.rgb.size() * 16;
  if (row_bytes > block_bytes || row_bytes * block_height > block_bytes ||
      block_bytes > reasonable) {
    throw ReadFailure("is broken: strips or tiles of " + std::to_string(block_bytes) + " bytes");
  }

  std::vector<std::vector<uint8_t>> blocks(static_cast<size_t>(planes));
  for (auto& block : blocks) block.resize(block_bytes);
  std::vector<uint8_t> levels(size_t{std::min(block_width, layout.width)} *
                              static_cast<size_t>(layout.needed_channels));
  for (uint32_t y0 = 0; y0 < layout.height; y0 += std::min(block_height, layout.height - y0)) {
    for (uint32_t x0 = 0; x0 < layout.width; x0 += std::min(block_width, layout.width - x0)) {
      const auto rows = std::min(block_height, layout.height - y0);
      const auto columns = std::min(block_width, layout.width - x0);
      for (int plane = 0; plane < planes; ++plane) {
        auto& block = blocks[static_cast<size_t>(plane)];
        const auto sample = static_cast<uint16_t>(plane);
        const auto wanted = static_cast<tmsize_t>(is_tiled ? block_bytes : row_bytes * rows);
        const auto got = is_tiled
                             ? TIFFReadEncodedTile(tiff, TIFFComputeTile(tiff, x0, y0, 0, sample),
                                                   block.data(), wanted)
                             : TIFFReadEncodedStrip(tiff, TIFFComputeStrip(tiff, y0, sample),
                                                    block.data(), wanted);
        if (got < wanted) throw tiff_failure(input);
      }
      for (uint32_t y = 0; y < rows; ++y) {
        for (int64_t x = 0; x < columns; ++x) {
          for (int c = 0; c < layout.needed_channels; ++c) {
            const auto* row =
                blocks[static_cast<size_t>(has_planes ? c : 0)].data() + y * row_bytes;
            levels[static_cast<size_t>(x * layout.needed_channels + c)] =
                tiff_level(layout, row, has_planes ? x : x * channels_in_plane + c);
          }
        }
        tiff_row_to_rgb(layout, palette, levels.data(), columns,
                        image.rgb.data() + ((int64_t{y0} + y) * image.width + x0) * 3);
      }
    }
  }
}

// Brightness and colour difference that are not JPEG: libtiff's own way to RGB.
void read_tiff_ycbcr(TIFF* tiff, TiffInput& input, const TiffLayout& layout, Image& image) {
  std::vector<uint32_t> raster(image.rgb.size() / 3);
  // Asked for in the orientation that it has, so that nothing is turned yet.
  if (!TIFFReadRGBAImageOriented(tiff, layout.width, layout.height, raster.data(),
                                 layout.orientation, 1)) {
    throw tiff_failure(input);
  }
  for (size_t i = 0; i < raster.size(); ++i) {
    image.rgb[3 * i] = static_cast<uint8_t>(TIFFGetR(raster[i]));
    image.rgb[3 * i + 1] = static_cast<uint8_t>(TIFFGetG(raster[i]));
    image.rgb[3 * i + 2] = static_cast<uint8_t>(TIFFGetB(raster[i]));
  }
}

// PIL turns a TIFF by its orientation tag when it loads it (and no other format).
Image turned_upright(const Image& image, uint16_t orientation) {
  const bool swaps_sides = orientation >= ORIENTATION_LEFTTOP;
  const bool flips_x = orientation == ORIENTATION_TOPRIGHT || orientation == ORIENTATION_BOTRIGHT ||
                       orientation == ORIENTATION_RIGHTTOP || orientation == ORIENTATION_RIGHTBOT;
  const bool flips_y = orientation == ORIENTATION_BOTRIGHT || orientation == ORIENTATION_BOTLEFT ||
                       orientation == ORIENTATION_RIGHTBOT || orientation == ORIENTATION_LEFTBOT;
  Image turned{
      swaps_sides ? image.height : image.width, swaps_sides ? image.width : image.height, {}};
  turned.rgb.resize(image.rgb.size());
  if (image.rgb.empty()) return turned;
  for (int64_t y = 0; y < turned.height; ++y) {
    for (int64_t x = 0; x < turned.width; ++x) {
      const auto across = flips_x ? turned.width - 1 - x : x;
      const auto down = flips_y ? turned.height - 1 - y : y;
      const auto from = swaps_sides ? across * image.width + down : down * image.width + across;
      std::memcpy(turned.rgb.data() + (y * turned.width + x) * 3, image.rgb.data() + from * 3, 3);
    }
  }
  return turned;
}

}  // namespace

Image read_tiff(std::span<const uint8_t> bytes, const ReadRequest& request) {
  TiffInput input{.bytes = bytes};
  const auto tiff = open_tiff(input, request);
  auto layout = tiff_layout(tiff.get());
  auto image = blank_image(layout.width, layout.height, request);
  if (!request.size_only) {
    check_tiff_layout(layout);
    const bool is_ycbcr = layout.photometric == PHOTOMETRIC_YCBCR;
    if (is_ycbcr &&
        !(layout.compression == COMPRESSION_JPEG && layout.planar == PLANARCONFIG_CONTIG)) {
      read_tiff_ycbcr(tiff.get(), input, layout, image);
    } else {
      if (is_ycbcr) {  // libjpeg converts, as for a JPEG file
        TIFFSetField(tiff.get(), TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
        layout.photometric = PHOTOMETRIC_RGB;
        layout.needed_channels = 3;
      }
      Palette palette;
      uint16_t *red = nullptr, *green = nullptr, *blue = nullptr;
      if (layout.photometric == PHOTOMETRIC_PALETTE) {
        if (!TIFFGetField(tiff.get(), TIFFTAG_COLORMAP, &red, &green, &blue)) {
          throw ReadFailure("is broken: it has no palette");
        }
        for (int i = 0; i < 1 << layout.bits; ++i) {
          palette.set(i, static_cast<uint8_t>(red[i] >> 8), static_cast<uint8_t>(green[i] >> 8),
                      static_cast<uint8_t>(blue[i] >> 8));
        }
      }
      read_tiff_blocks(tiff.get(), input, layout, palette, image);
    }
  }
  const bool is_turned =
      layout.orientation > ORIENTATION_TOPLEFT && layout.orientation <= ORIENTATION_LEFTBOT;
  return is_turned ? turned_upright(image, layout.orientation) : image;
}

}  // namespace finer
