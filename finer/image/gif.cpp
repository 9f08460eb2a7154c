#include "finer/image/formats.h"
#include "finer/image/little_endian.h"

#include <algorithm>

namespace finer {
namespace {

struct GifFrame {
  int64_t left = 0, top = 0, width = 0, height = 0;
  bool is_interlaced = false;
  int transparent = -1;  // index, or -1
  Palette palette;
};

void read_gif_palette(LittleEndian& in, int flags, Palette& palette) {
  if ((flags & 128) == 0) return;
  palette = Palette();
  for (int64_t i = 0; i < int64_t{2} << (flags & 7); ++i) {
    const auto rgb = in.take(3);
    palette.set(i, rgb[0], rgb[1], rgb[2]);
  }
}

// Leaves `in` at the pixels of the first frame.
GifFrame read_gif_frame(LittleEndian& in, Palette palette) {
  GifFrame frame;
  frame.palette = palette;
  for (;;) {
    const uint8_t kind = in.u8();
    if (kind == '!') {
      const uint8_t label = in.u8();
      bool is_first = true;
      while (const uint8_t count = in.u8()) {
        const auto block = in.take(count);
        // Graphic control: which index is transparent.
        if (label == 0xF9 && is_first && count >= 4 && (block[0] & 1)) frame.transparent = block[3];
        is_first = false;
      }
    } else if (kind == ',') {
      frame.left = in.u16();
      frame.top = in.u16();
      frame.width = in.u16();
      frame.height = in.u16();
      const uint8_t flags = in.u8();
      frame.is_interlaced = (flags & 64) != 0;
      read_gif_palette(in, flags, frame.palette);
      return frame;
    } else if (kind == ';') {
      throw ReadFailure("has no frame");
    }
    // Other bytes between blocks are skipped, as PIL does.
  }
}

// The bits of the data blocks, least significant first.
class GifBits {
 public:
  explicit GifBits(LittleEndian& in) : in_(in) {}
  int code(int bits) {
    while (have_ < bits) {
      if (block_.empty()) block_ = in_.take(in_.u8());
      if (block_.empty()) throw ReadFailure("ends before its last row");
      buffer_ |= uint32_t{block_[0]} << have_;
      have_ += 8;
      block_ = block_.subspan(1);
    }
    const int code = static_cast<int>(buffer_ & ((1U << bits) - 1));
    buffer_ >>= bits;
    have_ -= bits;
    return code;
  }

 private:
  LittleEndian& in_;
  std::span<const uint8_t> block_;
  uint32_t buffer_ = 0;
  int have_ = 0;
};

// LZW with codes of up to 12 bits: each code is an earlier one with one more index at its end.
// Source: CompuServe, "Graphics Interchange Format, version 89a" (1990), appendix F.
std::vector<uint8_t> read_gif_indices(LittleEndian& in, size_t total) {
  const int index_bits = in.u8();
  if (index_bits < 1 || index_bits > 8) {
    throw ReadFailure("has indices of " + std::to_string(index_bits) + " bits; expected 1 to 8");
  }
  const int clear = 1 << index_bits;
  const int end = clear + 1;
  constexpr int kMaxCodes = 4096;
  uint16_t before[kMaxCodes] = {};
  uint8_t last[kMaxCodes] = {};
  uint8_t reversed[kMaxCodes] = {};
  for (int i = 0; i < clear; ++i) last[i] = static_cast<uint8_t>(i);

  std::vector<uint8_t> indices(total);
  size_t at = 0;
  GifBits bits(in);
  int code_bits = index_bits + 1;
  int next = end + 1;
  int previous = -1;
  uint8_t first = 0;  // first index of the string before
  while (at < total) {
    int code = bits.code(code_bits);
    if (code == end) throw ReadFailure("ends before its last row");
    if (code == clear) {
      code_bits = index_bits + 1;
      next = end + 1;
      previous = -1;
      continue;
    }
    if (code > next || (code == next && previous < 0) || (previous < 0 && code >= clear)) {
      throw ReadFailure("is broken: its data holds a code that does not exist yet");
    }
    const int given = code;
    int length = 0;
    if (code == next) {  // the string being made: the one before, and its own first index
      reversed[length++] = first;
      code = previous;
    }
    while (code > end) {
      reversed[length++] = last[code];
      code = before[code];
    }
    first = last[code];
    reversed[length++] = first;
    for (int i = length - 1; i >= 0 && at < total; --i) indices[at++] = reversed[i];

    if (previous >= 0 && next < kMaxCodes) {
      before[next] = static_cast<uint16_t>(previous);
      last[next] = first;
      ++next;
      if (next == 1 << code_bits && code_bits < 12) ++code_bits;
    }
    previous = given;
  }
  return indices;
}

}  // namespace

Image read_gif(std::span<const uint8_t> bytes, const ReadRequest& request) {
  LittleEndian in(bytes, 6);
  const int64_t screen_width = in.u16();
  const int64_t screen_height = in.u16();
  const uint8_t flags = in.u8();
  in.take(2);
  Palette palette;
  read_gif_palette(in, flags, palette);
  const auto frame = read_gif_frame(in, palette);
  // A frame that reaches over the screen makes the picture larger.
  auto image = blank_image(std::max(screen_width, frame.left + frame.width),
                           std::max(screen_height, frame.top + frame.height), request);
  if (request.size_only) return image;
  if (frame.width == 0 || frame.height == 0) throw ReadFailure("has an empty first frame");

  const auto indices = read_gif_indices(in, static_cast<size_t>(frame.width * frame.height));
  const uint8_t background = static_cast<uint8_t>(std::max(0, frame.transparent));
  for (int64_t i = 0; i < image.width * image.height; ++i) {
    frame.palette.look_up(&background, 1, image.rgb.data() + i * 3);
  }
  int64_t file_row = 0;
  const auto put_rows = [&](int64_t start, int64_t step) {
    for (int64_t y = start; y < frame.height; y += step) {
      frame.palette.look_up(indices.data() + frame.width * file_row++, frame.width,
                            image.rgb.data() + ((frame.top + y) * image.width + frame.left) * 3);
    }
  };
  if (frame.is_interlaced) {
    put_rows(0, 8);
    put_rows(4, 8);
    put_rows(2, 4);
    put_rows(1, 2);
  } else {
    put_rows(0, 1);
  }
  return image;
}

}  // namespace finer
