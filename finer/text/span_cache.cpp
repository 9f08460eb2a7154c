#include "finer/text/span_cache.h"

#include <mutex>
#include <utility>

namespace finer {

SpanCache::Tokens SpanCache::find(std::string_view text) const {
  if (text.size() > kMostBytes) return nullptr;
  const std::shared_lock lock(mutex_);
  const auto found = tokens_.find(text);
  return found == tokens_.end() ? nullptr : found->second;
}

void SpanCache::keep(std::string_view text, Tokens tokens) {
  if (text.size() > kMostBytes) return;
  const std::unique_lock lock(mutex_);
  if (tokens_.size() >= kMostTexts) tokens_.clear();
  tokens_.emplace(text, std::move(tokens));
}

}  // namespace finer
