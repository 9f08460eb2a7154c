#include "finer/text/added_tokens.h"

#include "finer/text/blank.h"

#include <algorithm>
#include <utility>

namespace finer {

AddedTokens::AddedTokens(std::map<int64_t, AddedToken> by_id) : by_id_(std::move(by_id)) {
  for (const auto& [id, token] : by_id_) by_text_[token.text] = &token;
  for (const auto& [text, token] : by_text_) {
    by_first_byte_[static_cast<unsigned char>(text.front())].push_back(token);
  }
  for (auto& tokens : by_first_byte_) {
    std::sort(tokens.begin(), tokens.end(), [](const AddedToken* a, const AddedToken* b) {
      return a->text.size() > b->text.size();
    });
  }
}

const AddedToken* AddedTokens::find(std::string_view text) const {
  const auto found = by_text_.find(text);
  return found == by_text_.end() ? nullptr : found->second;
}

const AddedToken* AddedTokens::find(int64_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &found->second;
}

const AddedToken* AddedTokens::longest_at(std::string_view rest) const {
  for (const auto* token : by_first_byte_[static_cast<unsigned char>(rest.front())]) {
    if (rest.substr(0, token->text.size()) == token->text) return token;
  }
  return nullptr;
}

std::vector<TextSpan> AddedTokens::split(std::string_view text) const {
  std::vector<TextSpan> cut;
  size_t text_begin = 0;
  for (size_t at = 0; at < text.size();) {
    const auto* token = longest_at(text.substr(at));
    if (!token) {
      ++at;
      continue;
    }
    if (at > text_begin) cut.push_back({text_begin, at});
    text_begin = at + token->text.size();
    cut.push_back({at, text_begin, token});
    at = text_begin;
  }
  if (text.size() > text_begin) cut.push_back({text_begin, text.size()});

  // Stripping may reach into a neighbour that is itself a token (of blanks): what is left of it is
  // text.
  const auto bytes_of = [&](const TextSpan& span) {
    return text.substr(span.begin, span.end - span.begin);
  };
  for (size_t i = 0; i < cut.size(); ++i) {
    cut[i].token = find(bytes_of(cut[i]));
    if (!cut[i].token) continue;
    if (cut[i].token->strips_after && i + 1 < cut.size()) {
      cut[i + 1].begin = cut[i + 1].end - strip_left(bytes_of(cut[i + 1])).size();
    }
    if (cut[i].token->strips_before && i > 0) {
      cut[i - 1].end = cut[i - 1].begin + strip_right(bytes_of(cut[i - 1])).size();
    }
  }
  std::erase_if(cut, [](const TextSpan& span) { return span.begin == span.end; });
  for (auto& span : cut) span.token = find(bytes_of(span));
  return cut;
}

}  // namespace finer
