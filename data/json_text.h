#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace finer::data {

/// Length of the UTF-8 sequence that `text` begins with, 1 to 4; 0 where it is none (overlong forms
/// and surrogates included).
size_t utf8_length(std::string_view text);
bool is_utf8(std::string_view text);
/// Appends a code point, at most 0x10FFFF.
void append_utf8(std::string& out, uint32_t code);

/// Appends `text` as a JSON string, quotes included; what is not ASCII stays UTF-8.
/// Throws: DataError where it is not UTF-8.
void append_json_string(std::string& out, std::string_view text);

/// Walks JSON text once, front to back, without building a tree: hundreds of megabytes a second,
/// and no memory that grows with the text. Used where files are long and their shape is known.
///
/// Every value is checked whether it is wanted or not (strings are UTF-8, numbers are numbers).
/// Throws: DataError "byte N: what was found; expected ..." from any of its functions.
class JsonCursor {
 public:
  explicit JsonCursor(std::string_view text) : text_(text) {}

  /// Calls member(key) for each member; it must take the value by one of the functions below. The
  /// key is valid until the next string is read.
  template <class Member>
  void object(const Member& member) {
    open('{', "an object");
    for (bool first = true; next_item('}', first); first = false) {
      member(key());
    }
  }
  template <class Element>
  void array(const Element& element) {
    open('[', "an array");
    for (bool first = true; next_item(']', first); first = false) {
      element();
    }
  }
  void string(std::string& value);
  int64_t integer();
  /// Takes any value and returns its text as it stands in the file.
  std::string_view skip();
  /// First character of the next value: { [ " t f n - or a digit. Nothing is taken.
  char peek();
  /// Nothing but blanks may be left.
  void end();

  size_t offset() const { return at_; }
  [[noreturn]] void fail(size_t offset, const std::string& reason) const;

 private:
  void blanks();
  void open(char bracket, const char* what);
  bool next_item(char close, bool first);
  std::string_view key();
  std::string_view plain_or_escaped(std::string& buffer);
  void escape(std::string& value);
  uint32_t hex4();
  void number();
  void literal(std::string_view word);
  void skip_value(int depth);
  std::string found() const;

  std::string_view text_;
  size_t at_ = 0;
  std::string key_;
};

}  // namespace finer::data
