#include "data/readers/list_file.h"

#include "data/json_text.h"
#include "data/readers/label_text.h"
#include "finer/core/error.h"
#include "finer/core/quote.h"

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>
#include <system_error>

namespace finer::data {

namespace {

namespace fs = std::filesystem;

// A folder just below `root` or just above it in which `name` is, for the message.
std::string folder_that_has(const fs::path& root, const std::string& name) {
  std::error_code error;
  if (fs::exists(root.parent_path() / name, error)) return root.parent_path().string();
  constexpr int kMostLooks = 1000;
  int looks = 0;
  for (fs::directory_iterator it(root, error), end; !error && it != end; it.increment(error)) {
    if (++looks > kMostLooks) break;
    std::error_code ignored;
    if (it->is_directory(ignored) && fs::exists(it->path() / name, ignored)) {
      return it->path().string();
    }
  }
  return "";
}

}  // namespace

void require_file(const fs::path& root, const std::string& name) {
  std::error_code error;
  if (!fs::is_directory(root, error)) {
    throw DataError(root.string() + ": is no folder; --root names the folder with " + name);
  }
  const fs::path path = root / name;
  if (fs::is_regular_file(path, error)) return;
  if (fs::exists(path, error)) throw DataError(path.string() + ": is not a file");
  const std::string other = folder_that_has(root, name);
  throw DataError(path.string() + ": no such file; " +
                  (other.empty() ? "expected the set's official files under --root " + root.string()
                                 : "it is in " + other + ": give that as --root"));
}

void read_lines(const fs::path& root, const std::string& name,
                const std::function<void(const ListLine&)>& visit) {
  require_file(root, name);
  const fs::path path = root / name;
  std::ifstream in(path, std::ios::binary);
  if (!in) throw DataError(path.string() + ": cannot be opened: " + std::strerror(errno));
  std::string text;
  for (int64_t number = 1; std::getline(in, text); ++number) {
    std::string_view line = text;
    if (number == 1 && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
    line = trimmed(line);
    if (line.empty()) continue;
    ListLine read;
    read.where = path.string() + ":" + std::to_string(number);
    if (!is_utf8(line)) {
      throw DataError(read.where + ": " + quote(line) + " is not UTF-8; convert the file to UTF-8");
    }
    read.rest = line;
    visit(read);
  }
  if (in.bad()) throw DataError(path.string() + ": cannot be read: " + std::strerror(errno));
}

void read_list(const fs::path& root, const std::string& name,
               const std::function<void(const ListLine&)>& visit) {
  read_lines(root, name, [&](const ListLine& line) {
    ListLine read = line;
    const size_t blank = line.rest.find_first_of(" \t");
    if (blank == std::string_view::npos) {
      throw DataError(line.where + ": " + quote(line.rest) + "; expected a second word");
    }
    read.word = line.rest.substr(0, blank);
    read.rest = trimmed(line.rest.substr(blank));
    visit(read);
  });
}

std::string read_box(const ListLine& line) {
  std::string box = "[";
  std::string_view rest = line.rest;
  for (int side = 0; side < 4; ++side) {
    const size_t blank = rest.find_first_of(" \t");
    if (side > 0) box += ", ";
    box += json_number(rest.substr(0, blank), line.where, "a side of the box");
    rest = blank == std::string_view::npos ? std::string_view() : trimmed(rest.substr(blank));
  }
  if (!rest.empty()) throw DataError(line.where + ": expected an id and four numbers");
  return box + "]";
}

int64_t whole_number(std::string_view text, const std::string& where, const char* what,
                     int64_t least) {
  int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  if (result.ec != std::errc() || result.ptr != end || value < least) {
    throw DataError(where + ": " + what + " is " + quote(text) + "; expected a whole number from " +
                    std::to_string(least));
  }
  return value;
}

std::string json_number(double value) {
  char buffer[32];
  const auto result = std::to_chars(buffer, buffer + sizeof(buffer), value);
  return {buffer, result.ptr};
}

std::string json_number(std::string_view text, const std::string& where, const char* what) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  if (result.ec != std::errc() || result.ptr != end || !std::isfinite(value)) {
    throw DataError(where + ": " + what + " is " + quote(text) + "; expected a number");
  }
  return json_number(value);
}

bool is_picture_path(std::string_view path) {
  if (path.empty() || path[0] == '/' || path.find('\0') != std::string_view::npos) return false;
  for (size_t at = path.find(".."); at != std::string_view::npos; at = path.find("..", at + 1)) {
    const bool begins = at == 0 || path[at - 1] == '/';
    const bool ends = at + 2 == path.size() || path[at + 2] == '/';
    if (begins && ends) return false;
  }
  return is_utf8(path);
}

void check_picture_path(std::string_view path, const std::string& where) {
  if (is_picture_path(path)) return;
  throw DataError(where + ": picture " + quote(path) +
                  "; expected a path below the set's folder, without \"..\"");
}

}  // namespace finer::data
