#include "finer/text/model_check.h"

#include "finer/core/error.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace finer {

namespace {

[[noreturn]] void fail_model(const std::filesystem::path& file, const std::string& what) {
  throw DataError(file.string() + ": is not a SentencePiece model: " + what);
}

struct WireField {
  uint64_t number = 0;
  std::string_view bytes;  // of a length-delimited field
  bool has_bytes = false;
};

// Reads protobuf's wire form field by field.
class WireReader {
 public:
  WireReader(std::string_view rest, const std::filesystem::path& file) : rest_(rest), file_(file) {}
  bool at_end() const { return rest_.empty(); }

  WireField next() {
    const uint64_t key = varint();
    WireField field{key >> 3, {}, false};
    switch (key & 7) {
      case 0:
        varint();
        break;
      case 1:
        take(8);
        break;
      case 2:
        field.bytes = take(varint());
        field.has_bytes = true;
        break;
      case 5:
        take(4);
        break;
      default:
        fail_model(file_, "unknown kind of field");
    }
    return field;
  }

 private:
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1).front());
      value |= uint64_t(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    fail_model(file_, "a number has no end");
  }

  std::string_view take(uint64_t bytes) {
    if (bytes > rest_.size()) fail_model(file_, "it ends early; fetch the file again");
    const auto taken = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return taken;
  }

  std::string_view rest_;
  const std::filesystem::path& file_;
};

uint32_t little_endian(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value |= uint32_t(uint8_t(bytes[at + i])) << (8 * i);
  return value;
}

// [bytes of the array][array of 32-bit units][texts, each ended by a zero]. A unit's children lie
// in the block of 256 that its own place, xor its offset, points to; its value, when it has one, at
// that very place.
void check_char_table(std::string_view table, const std::filesystem::path& file) {
  if (table.empty()) return;
  const auto fail = [&] { fail_model(file, "its normaliser's table points outside itself"); };
  if (table.size() <= 4) fail();
  const uint32_t array_bytes = little_endian(table, 0);
  table.remove_prefix(4);
  if (array_bytes >= table.size() || array_bytes % 1024 != 0 || array_bytes == 0) fail();
  const auto texts = table.substr(array_bytes);
  if (texts.back() != '\0') fail();

  const size_t num_units = array_bytes / 4;
  for (size_t i = 0; i < num_units; ++i) {
    const uint32_t unit = little_endian(table, 4 * i);
    const bool is_value = unit >> 31;
    if (is_value && i > 0) continue;
    const size_t target = i ^ (size_t(unit >> 10) << ((unit & 0x200) >> 6));
    if ((target | 0xff) >= num_units) fail();
    const bool has_value = unit & 0x100;
    if (has_value && (little_endian(table, 4 * target) & 0x7fffffff) >= texts.size()) fail();
  }
}

}  // namespace

void check_sentencepiece_model(std::string_view bytes, const std::filesystem::path& file) {
  if (bytes.empty()) fail_model(file, "it is empty");
  constexpr uint64_t kNormalizer = 3, kDenormalizer = 5, kCharTable = 2;
  for (WireReader model(bytes, file); !model.at_end();) {
    const auto field = model.next();
    const bool is_normalizer = field.number == kNormalizer || field.number == kDenormalizer;
    if (!is_normalizer || !field.has_bytes) continue;
    for (WireReader spec(field.bytes, file); !spec.at_end();) {
      const auto part = spec.next();
      if (part.number == kCharTable && part.has_bytes) check_char_table(part.bytes, file);
    }
  }
}

}  // namespace finer
