#include "finer/io/zip_directory.h"

#include "finer/core/error.h"
#include "finer/core/quote.h"
#include "finer/io/mapped_file.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace finer {

namespace {

constexpr uint32_t kLocalHeader = 0x04034b50, kDirectoryEntry = 0x02014b50;
constexpr uint32_t kEnd = 0x06054b50, kEnd64 = 0x06064b50, kEnd64Locator = 0x07064b50;
constexpr size_t kLocalHeaderBytes = 30, kDirectoryEntryBytes = 46;
constexpr size_t kEndBytes = 22, kEnd64Bytes = 56, kEnd64LocatorBytes = 20;
constexpr uint32_t kInZip64 = 0xffffffff;

// Part of the archive, bounds checked without overflow.
class ZipBytes {
 public:
  ZipBytes(const std::string& where, std::string_view bytes) : where_(where), bytes_(bytes) {}

  size_t size() const { return bytes_.size(); }

  std::string_view part(uint64_t offset, uint64_t length) const {
    if (offset > bytes_.size() || length > bytes_.size() - offset) {
      fail("is truncated, or its zip directory is damaged");
    }
    return bytes_.substr(offset, length);
  }
  template <class Number>
  Number number(uint64_t offset) const {
    return number_at<Number>(part(offset, sizeof(Number)), 0);
  }
  [[noreturn]] void fail(const std::string& why) const {
    throw CheckpointError(where_ + ": " + why);
  }

 private:
  const std::string& where_;
  std::string_view bytes_;
};

struct Directory {
  uint64_t offset = 0, size = 0, count = 0;
};

Directory find_directory(const ZipBytes& zip) {
  // The end record is followed by a comment of up to 65535 bytes, and by nothing else.
  for (size_t comment = 0; comment <= 0xffff && kEndBytes + comment <= zip.size(); ++comment) {
    const size_t end = zip.size() - kEndBytes - comment;
    if (zip.number<uint32_t>(end) != kEnd || zip.number<uint16_t>(end + 20) != comment) continue;
    if (end >= kEnd64LocatorBytes &&
        zip.number<uint32_t>(end - kEnd64LocatorBytes) == kEnd64Locator) {
      const auto end64 = zip.number<uint64_t>(end - kEnd64LocatorBytes + 8);
      if (zip.part(end64, kEnd64Bytes).size() && zip.number<uint32_t>(end64) != kEnd64) {
        zip.fail("its zip64 end record is damaged");
      }
      return {.offset = zip.number<uint64_t>(end64 + 48),
              .size = zip.number<uint64_t>(end64 + 40),
              .count = zip.number<uint64_t>(end64 + 32)};
    }
    return {.offset = zip.number<uint32_t>(end + 16),
            .size = zip.number<uint32_t>(end + 12),
            .count = zip.number<uint16_t>(end + 10)};
  }
  zip.fail("is truncated: a zip archive ends with a directory, this file does not");
}

struct Record {
  std::string name;
  uint64_t bytes = 0, packed_bytes = 0, header_offset = 0;
  uint16_t flags = 0, method = 0;
};

// Sizes and offset that do not fit 32 bits stand in an extra field, in this order, only those.
void read_zip64_extra(const ZipBytes& zip, std::string_view extra_bytes, Record& record) {
  const std::string where = quote(record.name);
  for (size_t at = 0; at + 4 <= extra_bytes.size();) {
    const auto id = number_at<uint16_t>(extra_bytes, at);
    const size_t length = number_at<uint16_t>(extra_bytes, at + 2);
    at += 4;
    if (length > extra_bytes.size() - at) zip.fail(where + " has a damaged extra field");
    if (id == 1) {
      auto left = extra_bytes.substr(at, length);
      for (uint64_t* field : {&record.bytes, &record.packed_bytes, &record.header_offset}) {
        if (*field != kInZip64) continue;
        if (left.size() < 8) zip.fail(where + " has a damaged zip64 field");
        *field = number_at<uint64_t>(left, 0);
        left.remove_prefix(8);
      }
      return;
    }
    at += length;
  }
}

// Reads the directory entry at `offset` and moves it behind the entry.
Record read_directory_entry(const ZipBytes& zip, uint64_t& offset) {
  zip.part(offset, kDirectoryEntryBytes);
  if (zip.number<uint32_t>(offset) != kDirectoryEntry) zip.fail("its zip directory is damaged");
  const auto name_bytes = zip.number<uint16_t>(offset + 28);
  const auto extra_bytes = zip.number<uint16_t>(offset + 30);
  const auto comment_bytes = zip.number<uint16_t>(offset + 32);
  Record record{.name = std::string(zip.part(offset + kDirectoryEntryBytes, name_bytes)),
                .bytes = zip.number<uint32_t>(offset + 24),
                .packed_bytes = zip.number<uint32_t>(offset + 20),
                .header_offset = zip.number<uint32_t>(offset + 42),
                .flags = zip.number<uint16_t>(offset + 8),
                .method = zip.number<uint16_t>(offset + 10)};
  offset += kDirectoryEntryBytes + name_bytes;
  read_zip64_extra(zip, zip.part(offset, extra_bytes), record);
  offset += extra_bytes + comment_bytes;
  return record;
}

// The record's bytes, behind its own header.
std::string_view find_record_bytes(const ZipBytes& zip, const Record& record) {
  if (record.method != 0 || record.packed_bytes != record.bytes) {
    zip.fail(
        "record " + quote(record.name) +
        " is compressed; torch.save stores records as they are, so save the file again with it");
  }
  if ((record.flags & 1) != 0) zip.fail("record " + quote(record.name) + " is encrypted");
  zip.part(record.header_offset, kLocalHeaderBytes);
  const auto name_bytes = zip.number<uint16_t>(record.header_offset + 26);
  const auto extra_bytes = zip.number<uint16_t>(record.header_offset + 28);
  if (zip.number<uint32_t>(record.header_offset) != kLocalHeader ||
      zip.part(record.header_offset + kLocalHeaderBytes, name_bytes) != record.name) {
    zip.fail("record " + quote(record.name) + " is not where the zip directory says");
  }
  return zip.part(record.header_offset + kLocalHeaderBytes + name_bytes + extra_bytes,
                  record.bytes);
}

}  // namespace

std::map<std::string, std::string_view> read_zip_directory(const std::string& where,
                                                           std::string_view archive) {
  const ZipBytes zip(where, archive);
  const auto directory = find_directory(zip);
  const auto listed = zip.part(directory.offset, directory.size);
  if (directory.count > listed.size() / kDirectoryEntryBytes) {
    zip.fail("its zip directory is too small for " + std::to_string(directory.count) + " records");
  }

  std::map<std::string, std::string_view> records;
  std::vector<std::pair<uint64_t, uint64_t>> spans;  // from a record's header to its end
  uint64_t offset = directory.offset;
  for (uint64_t i = 0; i < directory.count; ++i) {
    const auto record = read_directory_entry(zip, offset);
    const auto bytes = find_record_bytes(zip, record);
    spans.emplace_back(record.header_offset,
                       static_cast<uint64_t>(bytes.data() - archive.data()) + bytes.size());
    if (!records.emplace(record.name, bytes).second) {
      zip.fail("holds two records " + quote(record.name));
    }
  }
  std::sort(spans.begin(), spans.end());
  spans.emplace_back(directory.offset, directory.offset);
  for (size_t i = 1; i < spans.size(); ++i) {
    if (spans[i].first < spans[i - 1].second) zip.fail("its zip records overlap");
  }
  return records;
}

}  // namespace finer
