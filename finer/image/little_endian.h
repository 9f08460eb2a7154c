#pragma once

#include "finer/image/formats.h"

#include <cstdint>
#include <span>

namespace finer {

/// A walk over the bytes of a file whose numbers are little-endian. Every read is checked.
/// Throws: ReadFailure "is cut short".
class LittleEndian {
 public:
  explicit LittleEndian(std::span<const uint8_t> bytes, size_t at = 0) : bytes_(bytes), at_(at) {}

  size_t position() const { return at_; }
  size_t left() const { return at_ < bytes_.size() ? bytes_.size() - at_ : 0; }
  void seek(size_t at) { at_ = at; }

  std::span<const uint8_t> take(size_t count) {
    if (count > left()) throw ReadFailure("is cut short");
    at_ += count;
    return bytes_.subspan(at_ - count, count);
  }
  uint8_t u8() { return take(1)[0]; }
  uint16_t u16() {
    const auto b = take(2);
    return static_cast<uint16_t>(b[0] | b[1] << 8);
  }
  uint32_t u32() {
    const auto b = take(4);
    return uint32_t{b[0]} | uint32_t{b[1]} << 8 | uint32_t{b[2]} << 16 | uint32_t{b[3]} << 24;
  }

 private:
  std::span<const uint8_t> bytes_;
  size_t at_ = 0;
};

}  // namespace finer
