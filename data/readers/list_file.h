#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace finer::data {

/// A line of an official list: its first word, and the rest with the blanks around it taken off.
struct ListLine {
  std::string_view word, rest;
  std::string where;  // "FILE:LINE", how messages about it begin
};

/// Calls `visit` with each line that is not blank. CRLF and a byte order mark are taken off.
/// Throws: DataError where the file is missing (with the folder below `root` that has it, or what
/// it is needed for), a line is not UTF-8 or has no second word.
void read_list(const std::filesystem::path& root, const std::string& name,
               const std::function<void(const ListLine&)>& visit);

/// The same for lists of one name a line: `rest` is the whole line, `word` is empty.
void read_lines(const std::filesystem::path& root, const std::string& name,
                const std::function<void(const ListLine&)>& visit);

/// The four numbers of a line of boxes as a JSON array, in the file's own order.
/// Throws: DataError "WHERE: ...".
std::string read_box(const ListLine& line);

/// DataError "FILE: no such file; ...": names a folder beside or below that does have it.
void require_file(const std::filesystem::path& root, const std::string& name);

/// A whole number of at least `least`. Throws: DataError "WHERE: WHAT is ...".
int64_t whole_number(std::string_view text, const std::string& where, const char* what,
                     int64_t least);

/// A finite number as JSON writes it, "60.0" as 60. Throws: DataError "WHERE: WHAT is ...".
std::string json_number(std::string_view text, const std::string& where, const char* what);
std::string json_number(double value);

/// The path of a picture as a list gives it, refused where it would leave the root: absolute, with
/// "..", with a NUL byte, empty or not UTF-8. Throws: DataError "WHERE: picture ...".
void check_picture_path(std::string_view path, const std::string& where);

/// The same without a message, for callers whose `where` costs to make.
bool is_picture_path(std::string_view path);

}  // namespace finer::data
