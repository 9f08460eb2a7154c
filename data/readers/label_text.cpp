#include "data/readers/label_text.h"

#include <algorithm>

namespace finer::data {

namespace {

constexpr std::string_view kBlanks = " \t\r\n\v\f";

bool is_and(std::string_view word) {
  return word.size() == 3 && (word[0] | 32) == 'a' && (word[1] | 32) == 'n' &&
         (word[2] | 32) == 'd';
}

void add_name(std::vector<std::string>& names, std::string_view name) {
  name = trimmed(name);
  if (name.empty() || std::find(names.begin(), names.end(), name) != names.end()) return;
  names.emplace_back(name);
}

}  // namespace

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::string blanks_for_underscores(std::string_view text) {
  std::string label(text);
  std::replace(label.begin(), label.end(), '_', ' ');
  return std::string(trimmed(label));
}

std::string without_suffix(std::string_view name) {
  name = trimmed(name);
  if (!name.ends_with(')')) return std::string(name);
  size_t at = name.size();
  for (int depth = 0; at > 0;) {
    const char c = name[--at];
    depth += c == ')' ? 1 : c == '(' ? -1 : 0;
    if (depth == 0) break;
  }
  const std::string_view head = trimmed(name.substr(0, at));
  return std::string(head.empty() ? name : head);
}

std::vector<std::string> split_at_commas(std::string_view text) {
  std::vector<std::string> names;
  while (true) {
    const size_t comma = text.find(',');
    add_name(names, text.substr(0, comma));
    if (comma == std::string_view::npos) return names;
    text.remove_prefix(comma + 1);
  }
}

std::vector<std::string> split_names(std::string_view text) {
  std::vector<std::string> names;
  for (const std::string& piece : split_at_commas(text)) {
    const std::string_view words = piece;
    size_t start = 0;  // of the name that is being read
    for (size_t at = 0; at < words.size();) {
      const size_t begin = std::min(words.find_first_not_of(kBlanks, at), words.size());
      const size_t end = std::min(words.find_first_of(kBlanks, begin), words.size());
      if (is_and(words.substr(begin, end - begin))) {
        add_name(names, words.substr(start, begin - start));
        start = end;
      }
      at = end;
    }
    add_name(names, words.substr(start));
  }
  return names;
}

}  // namespace finer::data
