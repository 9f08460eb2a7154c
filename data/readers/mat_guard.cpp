#include "data/readers/mat_guard.h"

#include "data/readers/mapped_text.h"
#include "finer/core/error.h"

#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace finer::data {

namespace {

constexpr size_t kMatHeaderBytes = 128;
constexpr size_t kMaxInflatedBytes = size_t{256} << 20;
constexpr int kMaxMatDepth = 16;

enum MatType : uint32_t { kMatMatrix = 14, kMatCompressed = 15 };
enum MatClass : uint32_t {
  kMatCell = 1,
  kMatStruct = 2,
  kMatChar = 4,
  kMatDouble = 6,
  kMatUint64 = 15
};

uint32_t word_at(std::string_view bytes, size_t at) {
  uint32_t word;
  std::memcpy(&word, bytes.data() + at, sizeof(word));
  return word;
}

// Bytes of one number of a data type, 0 for types that are no numbers.
size_t mat_type_bytes(uint32_t type) {
  switch (type) {
    case 1:
    case 2:
    case 16:
      return 1;
    case 3:
    case 4:
    case 17:
      return 2;
    case 5:
    case 6:
    case 7:
    case 18:
      return 4;
    case 9:
    case 12:
    case 13:
      return 8;
    default:
      return 0;
  }
}

struct MatElement {
  uint32_t type = 0;
  std::string_view data;
};

// Takes one element off the front: a tag of 8 bytes and padded data, or both within 8 bytes.
MatElement take_element(std::string_view& bytes) {
  if (bytes.size() < 8) throw DataError("is cut short");
  MatElement element;
  const uint32_t first = word_at(bytes, 0);
  if (first >> 16 != 0) {
    const uint32_t size = first >> 16;
    if (size > 4) throw DataError("has a small element of " + std::to_string(size) + " bytes");
    element.type = first & 0xFFFF;
    element.data = bytes.substr(4, size);
    bytes.remove_prefix(8);
    return element;
  }
  const size_t size = word_at(bytes, 4);
  bytes.remove_prefix(8);
  if (size > bytes.size()) throw DataError("is cut short");
  element.type = first;
  element.data = bytes.substr(0, size);
  bytes.remove_prefix(std::min(bytes.size(), (size + 7) / 8 * 8));
  return element;
}

void check_mat_matrix(std::string_view bytes, int depth);

// `count` arrays, one after the other, and nothing else.
void check_mat_children(std::string_view bytes, uint64_t count, int depth) {
  if (depth > kMaxMatDepth) throw DataError("is nested too deep");
  if (count > bytes.size() / 8) throw DataError("has fewer elements than its size says");
  for (uint64_t i = 0; i < count; ++i) {
    const MatElement child = take_element(bytes);
    if (child.type != kMatMatrix) throw DataError("has something else among its elements");
    check_mat_matrix(child.data, depth + 1);
  }
}

uint64_t mat_element_count(const MatElement& dims) {
  if (dims.type != 5 || dims.data.size() < 8 || dims.data.size() % 4 != 0) {
    throw DataError("has no dimensions");
  }
  uint64_t count = 1;
  for (size_t at = 0; at < dims.data.size(); at += 4) {
    const uint32_t size = word_at(dims.data, at);
    // a dimension beyond 2^31 is negative; a product is kept within 64 bits
    if (size > INT32_MAX || (size != 0 && count > UINT64_MAX / 64 / size)) {
      throw DataError("has a size that cannot be");
    }
    count *= size;
  }
  return count;
}

void check_mat_matrix(std::string_view bytes, int depth) {
  if (bytes.empty()) return;  // an empty cell
  const MatElement flags = take_element(bytes);
  if (flags.type != 6 || flags.data.size() != 8) throw DataError("has no array flags");
  const uint32_t array_class = word_at(flags.data, 0) & 0xFF;
  const bool is_known = array_class == kMatCell || array_class == kMatStruct ||
                        array_class == kMatChar ||
                        (array_class >= kMatDouble && array_class <= kMatUint64);
  if (!is_known) return;
  const uint64_t count = mat_element_count(take_element(bytes));
  if (take_element(bytes).type != 1) throw DataError("has no name");
  if (array_class == kMatCell) {
    check_mat_children(bytes, count, depth);
  } else if (array_class == kMatStruct) {
    const MatElement length = take_element(bytes);
    if (length.type != 5 || length.data.size() != 4) throw DataError("has no field names");
    const size_t name_bytes = word_at(length.data, 0);
    const MatElement names = take_element(bytes);
    if (name_bytes == 0 || names.type != 1 || names.data.size() % name_bytes != 0) {
      throw DataError("has no field names");
    }
    const uint64_t num_fields = names.data.size() / name_bytes;
    for (uint64_t i = 0; i < num_fields; ++i) {
      if (names.data.substr(i * name_bytes, name_bytes).find('\0') == std::string_view::npos) {
        throw DataError("has a field name without an end");
      }
    }
    if (num_fields > 0 && count > bytes.size() / 8 / num_fields) {
      throw DataError("has fewer elements than its size says");
    }
    check_mat_children(bytes, count * num_fields, depth);
  } else if (count > 0 || !bytes.empty()) {
    const MatElement data = take_element(bytes);
    const size_t width = mat_type_bytes(data.type);
    if (width == 0) throw DataError("has data that are no numbers");
    // UTF-8 and UTF-16 text has more bytes than the characters that its size counts
    const bool is_text = array_class == kMatChar && data.type >= 16;
    const uint64_t stored = data.data.size() / width;
    if (is_text ? stored < count : stored != count) {
      throw DataError("has other data than its size says");
    }
  }
}

std::string inflate_element(std::string_view packed) {
  std::string bytes;
  z_stream stream{};
  if (::inflateInit(&stream) != Z_OK) throw DataError("cannot be unpacked");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  int state = Z_OK;
  constexpr size_t kStep = size_t{1} << 16;
  while (state == Z_OK && bytes.size() < kMaxInflatedBytes) {
    const size_t had = bytes.size();
    bytes.resize(had + kStep);
    stream.next_out = reinterpret_cast<Bytef*>(bytes.data() + had);
    stream.avail_out = kStep;
    state = ::inflate(&stream, Z_NO_FLUSH);
    bytes.resize(had + kStep - stream.avail_out);
  }
  ::inflateEnd(&stream);
  if (state == Z_OK) throw DataError("unpacks to more than 256 MB");
  if (state != Z_STREAM_END) throw DataError("is packed wrongly, or cut short");
  return bytes;
}

void check_top_element(const MatElement& element) {
  if (element.type == kMatMatrix) {
    check_mat_matrix(element.data, 0);
  } else if (element.type == kMatCompressed) {
    const std::string inflated = inflate_element(element.data);
    std::string_view rest = inflated;
    const MatElement inner = take_element(rest);
    if (inner.type != kMatMatrix) throw DataError("is no array");
    check_mat_matrix(inner.data, 0);
  } else {
    throw DataError("is no array");
  }
}

}  // namespace

void check_mat_structure(const std::filesystem::path& path) {
  const MappedText file(path);
  std::string_view bytes = file.text();
  bytes.remove_prefix(std::min(bytes.size(), kMatHeaderBytes));
  for (int number = 1; !bytes.empty(); ++number) {
    try {
      // packed elements are not padded
      const bool is_packed = bytes.size() >= 8 && word_at(bytes, 0) == kMatCompressed;
      std::string_view rest = bytes;
      const MatElement element = take_element(rest);
      bytes = is_packed ? bytes.substr(8 + element.data.size()) : rest;
      check_top_element(element);
    } catch (const DataError& error) {
      throw DataError(path.string() + ": element " + std::to_string(number) + " " + error.what());
    }
  }
}

}  // namespace finer::data
