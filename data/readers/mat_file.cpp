#include "data/readers/mat_file.h"

#include "data/json_text.h"
#include "data/readers/mat_guard.h"
#include "finer/core/error.h"
#include "finer/core/near_miss.h"
#include "finer/core/quote.h"

#include <matio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <string_view>

namespace finer::data {

namespace {

namespace fs = std::filesystem;

// The official files are below 1 MB.
constexpr uintmax_t kMaxMatBytes = 64 << 20;
constexpr size_t kMaxMatElements = 16 << 20;

// matio would print what it finds wrong; here its last complaint becomes part of the message.
thread_local std::string mat_complaint;
void keep_complaint(int /*level*/, char* message) {
  mat_complaint = message == nullptr ? "" : message;
}

// v5: 116 bytes of text, 8 bytes, the version 0x0100, and "MI" in the writer's byte order.
void check_mat_header(const fs::path& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) throw DataError(path.string() + ": no such file");
  std::ifstream in(path, std::ios::binary);
  if (!in) throw DataError(path.string() + ": cannot be opened: " + std::strerror(errno));
  std::array<char, 128> header{};
  in.read(header.data(), header.size());
  const std::string_view text(header.data(), static_cast<size_t>(in.gcount()));
  const std::string expected = "; expected a MATLAB v5 file, as the official download has";
  if (text.starts_with("MATLAB 7.3") || text.starts_with("\x89HDF")) {
    throw DataError(path.string() + ": is a MATLAB v7.3 file (HDF5)" + expected +
                    ": save it with -v7");
  }
  if (text.size() < header.size()) {
    throw DataError(path.string() + ": is " + std::to_string(text.size()) + " bytes long" +
                    expected);
  }
  const std::string_view mark = text.substr(124);
  if (mark == std::string_view("\x01\x00MI", 4)) {
    throw DataError(path.string() + ": is in big-endian byte order" + expected);
  }
  if (mark == std::string_view("\x00\x01IM", 4)) {
    if (fs::file_size(path, error) > kMaxMatBytes) {
      throw DataError(path.string() + ": is larger than 64 MB" + expected);
    }
    return;
  }
  if (mark == std::string_view("\x00\x02IM", 4) || mark == std::string_view("\x02\x00MI", 4)) {
    throw DataError(path.string() + ": is a MATLAB v7.3 file (HDF5)" + expected +
                    ": save it with -v7");
  }
  throw DataError(path.string() + ": has no MATLAB v5 header" + expected);
}

size_t mat_elements(const matvar_t& variable) {
  size_t count = 1;
  for (int i = 0; i < variable.rank; ++i) {
    if (variable.dims == nullptr || variable.dims[i] > kMaxMatElements) return SIZE_MAX;
    count *= variable.dims[i];
    if (count > kMaxMatElements) return SIZE_MAX;
  }
  return count;
}

bool is_mat_number(const matvar_t& variable) {
  return variable.class_type >= MAT_C_DOUBLE && variable.class_type <= MAT_C_UINT64 &&
         variable.isComplex == 0;
}

template <class T>
double element_as(const matvar_t& variable, size_t index) {
  T value;
  std::memcpy(&value, static_cast<const char*>(variable.data) + index * sizeof(T), sizeof(T));
  return static_cast<double>(value);
}

// The caller has checked class and count.
double mat_number(const matvar_t& variable, size_t index, const std::string& where) {
  const size_t size_bytes = Mat_SizeOf(variable.data_type);
  if (variable.data == nullptr || size_bytes == 0 || variable.nbytes / size_bytes <= index) {
    throw DataError(where + " is cut short");
  }
  switch (variable.data_type) {
    case MAT_T_INT8:
      return element_as<int8_t>(variable, index);
    case MAT_T_UINT8:
      return element_as<uint8_t>(variable, index);
    case MAT_T_INT16:
      return element_as<int16_t>(variable, index);
    case MAT_T_UINT16:
      return element_as<uint16_t>(variable, index);
    case MAT_T_INT32:
      return element_as<int32_t>(variable, index);
    case MAT_T_UINT32:
      return element_as<uint32_t>(variable, index);
    case MAT_T_INT64:
      return element_as<int64_t>(variable, index);
    case MAT_T_UINT64:
      return element_as<uint64_t>(variable, index);
    case MAT_T_SINGLE:
      return element_as<float>(variable, index);
    case MAT_T_DOUBLE:
      return element_as<double>(variable, index);
    default:
      throw DataError(where + " is not of a numeric type");
  }
}

int64_t mat_whole_number(const matvar_t& variable, size_t index, const std::string& where) {
  const double value = mat_number(variable, index, where);
  constexpr double kLargest = 9007199254740992.0;  // 2^53, exact in double
  if (!(std::abs(value) <= kLargest) || value != std::floor(value)) {
    throw DataError(where + " is " + std::to_string(value) + "; expected a whole number");
  }
  return static_cast<int64_t>(value);
}

// Code units of a char array, each of 1, 2 or 4 bytes.
uint32_t code_unit(const matvar_t& text, size_t index, size_t width) {
  const char* at = static_cast<const char*>(text.data) + index * width;
  if (width == 1) return static_cast<uint8_t>(*at);
  if (width == 2) {
    uint16_t unit;
    std::memcpy(&unit, at, 2);
    return unit;
  }
  uint32_t unit;
  std::memcpy(&unit, at, 4);
  return unit;
}

std::string mat_text(const matvar_t* variable, const std::string& where) {
  if (variable == nullptr) throw DataError(where + " is missing or cut short");
  if (variable->class_type != MAT_C_CHAR) throw DataError(where + " is not text");
  const size_t count = mat_elements(*variable);
  if (count == 0) return "";
  if (count == SIZE_MAX || variable->rank != 2 || variable->dims[0] != 1) {
    throw DataError(where + " is not one row of text");
  }
  const size_t width = Mat_SizeOf(variable->data_type);
  if (variable->data == nullptr || (width != 1 && width != 2 && width != 4)) {
    throw DataError(where + " is cut short");
  }
  const size_t units = variable->nbytes / width;  // of UTF-8 more than there are characters
  std::string text;
  if (variable->data_type == MAT_T_UTF8) {
    text.assign(static_cast<const char*>(variable->data), units);
  } else {
    for (size_t i = 0; i < units; ++i) {
      uint32_t code = code_unit(*variable, i, width);
      if (width == 2 && code >= 0xD800 && code < 0xDC00 && i + 1 < units) {
        const uint32_t low = code_unit(*variable, i + 1, width);
        if (low >= 0xDC00 && low < 0xE000) {
          code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
          ++i;
        }
      }
      if (code > 0x10FFFF) throw DataError(where + " is not Unicode text");
      append_utf8(text, code);
    }
  }
  while (text.ends_with('\0')) text.pop_back();
  if (!is_utf8(text)) throw DataError(where + " is not Unicode text");
  return text;
}

const matvar_t* as_variable(const std::shared_ptr<void>& variable) {
  return static_cast<const matvar_t*>(variable.get());
}

}  // namespace

MatFile::MatFile(const fs::path& path) : file_(path.string()) {
  check_mat_header(path);
  check_mat_structure(path);
  Mat_LogInitFunc("finer", keep_complaint);
  mat_complaint.clear();
  mat_ = Mat_Open(file_.c_str(), MAT_ACC_RDONLY);
  if (mat_ == nullptr) throw DataError(file_ + ": is no readable MATLAB file: " + mat_complaint);
}

MatFile::~MatFile() { Mat_Close(static_cast<mat_t*>(mat_)); }

std::shared_ptr<void> MatFile::variable(const std::string& name) {
  auto* mat = static_cast<mat_t*>(mat_);
  mat_complaint.clear();
  std::shared_ptr<matvar_t> variable(Mat_VarReadInfo(mat, name.c_str()), Mat_VarFree);
  if (variable == nullptr) {
    throw DataError(file_ + ": has no variable " + quote(name) +
                    (mat_complaint.empty() ? "" : " that can be read: " + mat_complaint));
  }
  if (mat_elements(*variable) == SIZE_MAX) {
    throw DataError(file_ + ": " + name + " has more than 16 million elements");
  }
  variable.reset(Mat_VarRead(mat, name.c_str()), Mat_VarFree);
  if (variable == nullptr || !mat_complaint.empty()) {
    throw DataError(file_ + ": " + name + " cannot be read: " +
                    (mat_complaint.empty() ? "it is cut short" : mat_complaint));
  }
  return variable;
}

std::vector<std::string> MatFile::texts(const std::string& name) {
  const auto held = variable(name);
  const matvar_t* cells = as_variable(held);
  const std::string where = file_ + ": " + name;
  if (cells->class_type != MAT_C_CELL) throw DataError(where + " is not a cell array of text");
  const size_t count = mat_elements(*cells);
  auto** items = static_cast<matvar_t**>(cells->data);
  if (count > 0 && (items == nullptr || cells->nbytes / sizeof(matvar_t*) < count)) {
    throw DataError(where + " is cut short");
  }
  std::vector<std::string> texts;
  texts.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    texts.push_back(mat_text(items[i], where + "{" + std::to_string(i + 1) + "}"));
  }
  return texts;
}

std::vector<int64_t> MatFile::whole_numbers(const std::string& name) {
  const auto held = variable(name);
  const matvar_t* numbers = as_variable(held);
  const std::string where = file_ + ": " + name;
  if (!is_mat_number(*numbers)) throw DataError(where + " is not a vector of numbers");
  std::vector<int64_t> values(mat_elements(*numbers));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = mat_whole_number(*numbers, i, where + "(" + std::to_string(i + 1) + ")");
  }
  return values;
}

MatFile::Structs MatFile::structs(const std::string& name, const std::vector<std::string>& fields) {
  Structs structs;
  structs.where_ = file_ + ": " + name;
  structs.variable_ = variable(name);
  auto* array = static_cast<matvar_t*>(structs.variable_.get());
  if (array->class_type != MAT_C_STRUCT) {
    throw DataError(structs.where_ + " is not an array of structs");
  }
  structs.size_ = mat_elements(*array);
  const unsigned num_fields = Mat_VarGetNumberOfFields(array);
  if (structs.size_ > 0 &&
      (array->data == nullptr ||
       array->nbytes / sizeof(matvar_t*) / std::max(num_fields, 1U) < structs.size_)) {
    throw DataError(structs.where_ + " is cut short");
  }
  std::vector<std::string> names;
  char* const* stored = Mat_VarGetStructFieldnames(array);
  for (unsigned i = 0; stored != nullptr && i < num_fields; ++i) names.emplace_back(stored[i]);
  for (const std::string& field : fields) {
    if (std::find(names.begin(), names.end(), field) == names.end()) {
      throw DataError(structs.where_ + " has no field " + quote(field) +
                      did_you_mean(field, names));
    }
  }
  return structs;
}

std::string MatFile::Structs::text(size_t index, const char* field) const {
  auto* array = static_cast<matvar_t*>(variable_.get());
  return mat_text(Mat_VarGetStructFieldByName(array, field, index),
                  where_ + "(" + std::to_string(index + 1) + ")." + field);
}

int64_t MatFile::Structs::whole_number(size_t index, const char* field) const {
  auto* array = static_cast<matvar_t*>(variable_.get());
  const std::string where = where_ + "(" + std::to_string(index + 1) + ")." + field;
  const matvar_t* value = Mat_VarGetStructFieldByName(array, field, index);
  if (value == nullptr || !is_mat_number(*value) || mat_elements(*value) != 1) {
    throw DataError(where + " is not a number");
  }
  return mat_whole_number(*value, 0, where);
}

}  // namespace finer::data
