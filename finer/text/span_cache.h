#pragma once

#include "finer/text/tokenizer.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace finer {

/// Tokens of texts that were encoded lately: questions of a template and short answers come again
/// and again. Long texts are not kept, and when it is full it begins anew. Threads: any.
class SpanCache {
 public:
  using Tokens = std::shared_ptr<const std::vector<TokenPlace>>;

  static constexpr size_t kMostBytes = 256;    // of a text
  static constexpr size_t kMostTexts = 16384;  // some 20 MB

  /// Null: not there.
  Tokens find(std::string_view text) const;
  void keep(std::string_view text, Tokens tokens);

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  mutable std::shared_mutex mutex_;
  std::unordered_map<std::string, Tokens, Hash, std::equal_to<>> tokens_;
};

}  // namespace finer
