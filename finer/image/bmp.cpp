#include "finer/image/formats.h"
#include "finer/image/little_endian.h"

#include <algorithm>
#include <array>

namespace finer {
namespace {

enum BmpCompression : uint32_t { kBmpPlain = 0, kBmpRle8 = 1, kBmpRle4 = 2, kBmpMasks = 3 };

struct BmpHeader {
  int64_t width = 0;
  int64_t height = 0;
  bool is_top_down = false;
  int bits = 0;
  uint32_t compression = kBmpPlain;
  std::array<uint32_t, 3> masks = {0, 0, 0};
  Palette palette;
  size_t pixels_at = 0;
};

// The two header families: 12 bytes (OS/2 1.x, 16-bit sides) and 40 to 124 bytes (Windows).
BmpHeader read_bmp_header(LittleEndian& in) {
  BmpHeader header;
  in.seek(10);
  header.pixels_at = in.u32();
  const auto header_at = in.position();
  const auto header_bytes = in.u32();
  uint32_t colours = 0;
  if (header_bytes == 12) {
    header.width = in.u16();
    header.height = in.u16();
    in.u16();
    header.bits = in.u16();
  } else if (header_bytes == 40 || header_bytes == 52 || header_bytes == 56 || header_bytes == 64 ||
             header_bytes == 108 || header_bytes == 124) {
    header.width = static_cast<int32_t>(in.u32());
    header.height = static_cast<int32_t>(in.u32());
    header.is_top_down = header.height < 0;
    if (header.is_top_down) header.height = -header.height;
    in.u16();
    header.bits = in.u16();
    header.compression = in.u32();
    in.take(12);
    colours = in.u32();
    in.u32();
    // Longer headers hold the masks, after a short one they follow: the same place.
    if (header.compression == kBmpMasks) {
      for (auto& mask : header.masks) mask = in.u32();
    }
  } else {
    throw ReadFailure("has a header of " + std::to_string(header_bytes) +
                      " bytes; expected 12, 40, 52, 56, 64, 108 or 124");
  }
  if (header.bits > 8) {
    if (header.pixels_at == 0) header.pixels_at = std::max(in.position(), header_at + header_bytes);
    return header;
  }

  if (colours == 0) colours = 1U << header.bits;
  if (colours > 65536) {
    throw ReadFailure("has a palette of " + std::to_string(colours) +
                      " colours; expected at most 65536");
  }
  in.seek(std::max(in.position(), header_at + header_bytes));
  const size_t entry_bytes = header_bytes == 12 ? 3 : 4;
  const auto palette_at = in.position();
  const auto count = std::min<size_t>(colours, in.left() / entry_bytes);  // short ones: PIL's ramp
  for (size_t i = 0; i < count; ++i) {
    const auto bgr = in.take(entry_bytes);
    header.palette.set(static_cast<int64_t>(i), bgr[2], bgr[1], bgr[0]);
  }
  // Some writers give the end of the header as the place of the pixels.
  if (header.pixels_at == 0 || header.pixels_at == header_at + header_bytes) {
    header.pixels_at = palette_at + entry_bytes * colours;
  }
  return header;
}

// Run-length coded indices, rows as in the file. Like PIL, a picture must be filled to its last
// pixel.
std::vector<uint8_t> read_bmp_runs(LittleEndian& in, const BmpHeader& header) {
  const auto width = static_cast<size_t>(header.width);
  const auto total = width * static_cast<size_t>(header.height);
  const bool is_rle4 = header.compression == kBmpRle4;
  std::vector<uint8_t> indices(total);
  size_t at = 0;
  size_t x = 0;
  const auto nibble = [](uint8_t byte, size_t i) {
    return static_cast<uint8_t>(i % 2 == 0 ? byte >> 4 : byte & 15);
  };
  while (at < total) {
    const uint8_t count = in.u8();
    const uint8_t value = in.u8();
    if (count > 0) {
      const auto fits = x < width ? std::min<size_t>({count, width - x, total - at}) : 0;
      for (size_t i = 0; i < fits; ++i) indices[at++] = is_rle4 ? nibble(value, i) : value;
      x += fits;
    } else if (value == 0) {  // end of row; what is left of it is index 0
      at = (at + width - 1) / width * width;
      x = 0;
    } else if (value == 1) {  // end of picture
      break;
    } else if (value == 2) {  // move right and up
      const size_t right = in.u8();
      const size_t up = in.u8();
      at = std::min(total, at + right + up * width);
      x = at % width;
    } else {
      const auto literal = std::min<size_t>(value, total - at);
      const auto bytes = in.take(is_rle4 ? (literal + 1) / 2 : literal);
      for (size_t i = 0; i < literal; ++i) {
        indices[at++] = is_rle4 ? nibble(bytes[i / 2], i) : bytes[i];
      }
      x += value;
      if (in.position() % 2 != 0 && in.left() > 0) in.u8();
    }
  }
  if (at < total) throw ReadFailure("ends before its last row");
  return indices;
}

// Where red, green and blue are in a pixel of 24 or 32 bits, as PIL knows them.
std::array<int, 3> bmp_channel_bytes(const BmpHeader& header) {
  using Masks = std::array<uint32_t, 3>;
  if (header.compression == kBmpPlain) return {2, 1, 0};
  if (header.masks == Masks{0xFF0000, 0xFF00, 0xFF} || header.masks == Masks{0, 0, 0}) {
    return {2, 1, 0};
  }
  if (header.bits == 32) {
    if (header.masks == Masks{0xFF000000, 0xFF0000, 0xFF00}) return {3, 2, 1};
    if (header.masks == Masks{0xFF000000, 0xFF00, 0xFF}) return {3, 1, 0};
    if (header.masks == Masks{0xFF, 0xFF00, 0xFF0000}) return {0, 1, 2};
  }
  throw ReadFailure("has channel masks that are not whole bytes");
}

void read_bmp_row16(const uint8_t* row, int64_t width, bool has_6_green, uint8_t* rgb) {
  for (int64_t x = 0; x < width; ++x) {
    const int pixel = row[2 * x] | row[2 * x + 1] << 8;
    const int red = pixel >> (has_6_green ? 11 : 10) & 31;
    const int green = has_6_green ? (pixel >> 5 & 63) * 255 / 63 : (pixel >> 5 & 31) * 255 / 31;
    rgb[3 * x] = static_cast<uint8_t>(red * 255 / 31);
    rgb[3 * x + 1] = static_cast<uint8_t>(green);
    rgb[3 * x + 2] = static_cast<uint8_t>((pixel & 31) * 255 / 31);
  }
}

}  // namespace

Image read_bmp(std::span<const uint8_t> bytes, const ReadRequest& request) {
  LittleEndian in(bytes);
  const auto header = read_bmp_header(in);
  auto image = blank_image(header.width, header.height, request);
  if (request.size_only) return image;

  const int bits = header.bits;
  if (bits != 1 && bits != 4 && bits != 8 && bits != 16 && bits != 24 && bits != 32) {
    throw ReadFailure("has " + std::to_string(bits) +
                      " bits a pixel; expected 1, 4, 8, 16, 24 or 32");
  }
  const bool is_rle = (header.compression == kBmpRle8 && bits == 8) ||
                      (header.compression == kBmpRle4 && bits == 4);
  const bool is_masked = header.compression == kBmpMasks && bits >= 16;
  if (header.compression != kBmpPlain && !is_rle && !is_masked) {
    throw ReadFailure("has compression " + std::to_string(header.compression) + " at " +
                      std::to_string(bits) + " bits a pixel; expected 0, 1, 2 or 3");
  }
  const auto row_out = [&](int64_t file_row) {
    const auto y = header.is_top_down ? file_row : header.height - 1 - file_row;
    return image.rgb.data() + y * header.width * 3;
  };
  in.seek(header.pixels_at);

  if (is_rle) {
    const auto indices = read_bmp_runs(in, header);
    for (int64_t y = 0; y < header.height; ++y) {
      header.palette.look_up(indices.data() + y * header.width, header.width, row_out(y));
    }
    return image;
  }

  const auto row_bytes = static_cast<size_t>((header.width * bits + 7) / 8);
  const auto padding = (4 - row_bytes % 4) % 4;
  // Before the loop, so that a cut file costs no work.
  if (in.left() < (row_bytes + padding) * static_cast<size_t>(header.height - 1) + row_bytes) {
    throw ReadFailure("is cut short");
  }
  using Masks = std::array<uint32_t, 3>;
  const bool has_6_green = header.masks == Masks{0xF800, 0x7E0, 0x1F};
  if (bits == 16 && is_masked && !has_6_green && header.masks != Masks{0x7C00, 0x3E0, 0x1F}) {
    throw ReadFailure("has channel masks other than 5-5-5 and 5-6-5");
  }
  const auto channel = bits >= 24 ? bmp_channel_bytes(header) : std::array<int, 3>{};
  std::vector<uint8_t> indices(bits <= 8 ? static_cast<size_t>(header.width) : 0);
  for (int64_t y = 0; y < header.height; ++y) {
    const auto* row = in.take(row_bytes).data();
    in.take(std::min(padding, in.left()));
    auto* rgb = row_out(y);
    if (bits == 16) {
      read_bmp_row16(row, header.width, has_6_green, rgb);
    } else if (bits >= 24) {
      const int step = bits / 8;
      for (int64_t x = 0; x < header.width; ++x) {
        for (int c = 0; c < 3; ++c) rgb[3 * x + c] = row[x * step + channel[c]];
      }
    } else {
      const int per_byte = 8 / bits;
      for (int64_t x = 0; x < header.width; ++x) {
        const int shift = 8 - bits * (static_cast<int>(x % per_byte) + 1);
        indices[x] = static_cast<uint8_t>(row[x / per_byte] >> shift & ((1 << bits) - 1));
      }
      header.palette.look_up(indices.data(), header.width, rgb);
    }
  }
  return image;
}

}  // namespace finer
