#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace finer::data {

/// Where one record's JSON text stands in its file: bytes [begin, end).
struct RecordExtent {
  uint64_t begin = 0;
  uint64_t end = 0;
};

/// Finds the records of a JSON array of objects, or of JSONL (one object a line, blank lines
/// allowed), without parsing them: it follows strings, escapes and nesting only. Which of the two
/// forms it is, is told from the first byte that is not blank. A UTF-8 byte order mark and CRLF are
/// accepted.
///
/// What is inside a record is not checked (parse_sample does that); everything between the records
/// is. Throws: DataError "NAME: record I at byte B (line L): ..." where a record is cut short, its
/// brackets do not
///         match, it is nested deeper than 256, or something else stands where a record or a comma
///         should.
std::vector<RecordExtent> index_records(std::string_view bytes, const std::string& name);

}  // namespace finer::data
