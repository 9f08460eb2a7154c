#pragma once

#include "finer/io/tensor_file.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace finer {

inline std::filesystem::path golden_file(const std::string& name) {
  return std::filesystem::path(FINER_SOURCE_DIR) / "tests" / "golden" / "io" / name;
}

inline std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline std::filesystem::path write_bytes(const std::filesystem::path& path,
                                         const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

template <class Number>
std::string little_endian(Number number) {
  return {reinterpret_cast<const char*>(&number), sizeof(number)};
}

/// A safetensors file of this header and data.
inline std::string safetensors_bytes(const std::string& header, const std::string& data) {
  return little_endian<uint64_t>(header.size()) + header + data;
}

/// The error that opening and reading a whole file ends in; "" where there is none. Any other
/// exception than CheckpointError passes through and fails the test.
std::string error_of_reading(const std::filesystem::path& path);

struct ZipRecord {
  std::string name, bytes;
  uint16_t method = 0, flags = 0;
  bool is_zip64 = false;  // sizes and place stand in the extra field only
};

/// A zip archive, the way a stranger would make it: nothing is checked.
std::string zip_bytes(const std::vector<ZipRecord>& records, const std::string& comment = "");

/// torch.save's archive around a pickle, with one storage "0" of `storage_bytes`.
std::string archive_bytes(const std::string& pickle, const std::string& storage_bytes = "");

}  // namespace finer
