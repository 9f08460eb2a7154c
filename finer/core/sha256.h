#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace finer {

/// SHA-256 of bytes that come in pieces: what `sha256sum` prints, for manifests.
///
/// Source: FIPS 180-4, 6.2.
class Sha256 {
 public:
  void update(std::string_view bytes);
  /// Lower-case hexadecimal, 64 letters; nothing may be added afterwards.
  std::string finish();

 private:
  void compress(const unsigned char* blocks, size_t count);

  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<unsigned char, 64> rest_{};  // bytes of a block that is not full yet
  uint64_t count_ = 0;                    // bytes so far
};

std::string sha256_hex(std::string_view bytes);

}  // namespace finer
