#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace finer {

/// A token that stands beside the SentencePiece pieces: found in the text before pieces are, as one
/// id.
struct AddedToken {
  std::string text;
  int64_t id = -1;
  bool strips_before = false;  // `lstrip`: the text before it loses its last blanks
  bool strips_after = false;   // `rstrip`: the text after it loses its first blanks
};

/// A run of bytes of a text: an added token, or text between two of them.
struct TextSpan {
  size_t begin = 0;
  size_t end = 0;
  const AddedToken* token = nullptr;  // null for text; owned by the table
};

/// The added tokens of a tokenizer by text and by id.
class AddedTokens {
 public:
  /// Of two ids with one text the higher is given. Texts are not empty.
  explicit AddedTokens(std::map<int64_t, AddedToken> by_id);
  AddedTokens(AddedTokens&&) = default;
  AddedTokens& operator=(AddedTokens&&) = default;

  const AddedToken* find(std::string_view text) const;
  const AddedToken* find(int64_t id) const;
  const std::map<int64_t, AddedToken>& by_id() const { return by_id_; }

  /// Cuts a text at the added tokens in it: at each place the longest that starts there, from left
  /// to right. Spans are in order, never empty, and leave out nothing but the blanks that tokens
  /// strip.
  ///
  /// transformers' slow tokenizers cut at the same places unless one token partly overlaps another
  /// ("abc" and "bcd" in "abcd"), where they may drop a match.
  std::vector<TextSpan> split(std::string_view text) const;

 private:
  const AddedToken* longest_at(std::string_view rest) const;

  std::map<int64_t, AddedToken> by_id_;
  std::unordered_map<std::string_view, const AddedToken*> by_text_;  // views into by_id_
  std::array<std::vector<const AddedToken*>, 256> by_first_byte_;    // the longest text first
};

}  // namespace finer
