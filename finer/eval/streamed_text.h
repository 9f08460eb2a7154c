#pragma once

#include "finer/text/tokenizer.h"

#include <cstdint>
#include <string>
#include <vector>

namespace finer {

/// An answer's text as it grows, in pieces that can be shown at once: whole characters, no blanks
/// at either end. All pieces together are Session::text of the ids.
class StreamedText {
 public:
  explicit StreamedText(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}

  /// What the token adds; empty while a character or a blank at the end may still go on.
  std::string add(int64_t id);
  /// What was held back, but for blanks.
  std::string finish();
  const std::vector<int64_t>& ids() const { return ids_; }

 private:
  std::string piece(bool is_last);
  const Tokenizer* tokenizer_;
  std::vector<int64_t> ids_;
  size_t shown_bytes_ = 0;  // of the text without its leading blanks
};

/// Text that cannot steer a terminal: control characters other than tab and new line become '?'.
std::string without_controls(std::string text);

}  // namespace finer
