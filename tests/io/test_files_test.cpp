// The bodies of test_files.h: this folder's tests are one binary.
#include "tests/io/test_files.h"

#include "finer/core/error.h"

#include <catch2/catch.hpp>

namespace finer {

std::string error_of_reading(const std::filesystem::path& path) {
  try {
    const auto file = open_tensor_file(path);
    for (const auto& [name, info] : file->tensors()) {
      const auto tensor = file->read(name);
      FINER_CHECK(tensor.sizes() == info.shape, "sizes differ");
      tensor.clone();  // touches every item
    }
  } catch (const CheckpointError& error) {
    return error.what();
  }
  return "";
}

std::string zip_bytes(const std::vector<ZipRecord>& records, const std::string& comment) {
  std::string archive, directory;
  for (const auto& record : records) {
    const uint64_t size = record.bytes.size(), place = archive.size();
    const auto field = [&](uint64_t value) {
      return little_endian<uint32_t>(record.is_zip64 ? 0xffffffff : value);
    };
    const std::string extra =
        !record.is_zip64 ? ""
                         : little_endian<uint16_t>(7) + little_endian<uint16_t>(2) + "xx" +
                               little_endian<uint16_t>(1) + little_endian<uint16_t>(24) +
                               little_endian(size) + little_endian(size) + little_endian(place);
    const std::string shared = little_endian<uint16_t>(20) + little_endian(record.flags) +
                               little_endian(record.method) + std::string(8, '\0') + field(size) +
                               field(size) + little_endian<uint16_t>(record.name.size());
    directory += "PK\x01\x02" + little_endian<uint16_t>(20) + shared +
                 little_endian<uint16_t>(extra.size()) + std::string(10, '\0') + field(place) +
                 record.name + extra;
    // Padded by the extra field so that the bytes lie at a multiple of 8.
    const size_t padding = (8 - (archive.size() + 30 + record.name.size()) % 8) % 8;
    archive += "PK\x03\x04" + shared + little_endian<uint16_t>(padding) + record.name +
               std::string(padding, '\0') + record.bytes;
  }
  return archive + directory + "PK\x05\x06" + std::string(4, '\0') +
         little_endian<uint16_t>(records.size()) + little_endian<uint16_t>(records.size()) +
         little_endian<uint32_t>(directory.size()) + little_endian<uint32_t>(archive.size()) +
         little_endian<uint16_t>(comment.size()) + comment;
}

std::string archive_bytes(const std::string& pickle, const std::string& storage_bytes) {
  return zip_bytes({{"archive/data.pkl", pickle},
                    {"archive/byteorder", "little"},
                    {"archive/data/0", storage_bytes}});
}

}  // namespace finer
