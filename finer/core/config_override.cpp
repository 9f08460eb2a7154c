#include "finer/core/config_override.h"

#include "finer/core/plain_text.h"
#include "finer/core/quote.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace finer {

namespace {

constexpr Place kHere{Place::kCommandLine, 1};

// A list index, or nothing.
std::optional<size_t> index_of(const std::string& part) {
  const bool is_index =
      !part.empty() && part.size() <= 6 &&
      std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
  return is_index ? std::optional<size_t>(std::stoul(part)) : std::nullopt;
}

// Where "key=value" splits: the first "=" outside of quotes, or npos.
size_t find_equals(const std::string& text) {
  bool in_quotes = false;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '"') in_quotes = !in_quotes;
    if (text[at] == '=' && !in_quotes) return at;
  }
  return std::string::npos;
}

ConfigNode parse_value(const std::string& text, const std::string& path,
                       std::vector<ConfigFault>& faults) {
  ConfigNode value;
  value.place = kHere;
  if (const auto bad = find_bad_text(text)) {
    faults.push_back({kHere, path, bad->what});
    value.kind = ConfigNode::Kind::kFaulty;
  } else if (!text.empty() && std::string("[{\"'").find(text[0]) != std::string::npos) {
    const size_t before = faults.size();
    value = parse_yaml(text, Place::kCommandLine, faults);
    for (size_t i = before; i < faults.size(); ++i) faults[i].path = path;
  } else if (!text.empty() && text != "null" && text != "~") {
    value.kind = ConfigNode::Kind::kScalar;
    value.text = text;
  }
  return value;
}

// Puts the value at the path's end; returns what stands in the way, or "".
std::string place_value(ConfigNode& root, const std::vector<std::string>& parts, ConfigNode value) {
  ConfigNode* node = &root;
  std::string walked;
  for (size_t i = 0; i < parts.size(); ++i) {
    const bool is_last = i + 1 == parts.size();
    if (node->kind == ConfigNode::Kind::kFaulty) return "";
    if (node->kind == ConfigNode::Kind::kList) {
      const auto index = index_of(parts[i]);
      const size_t size = node->items.size();
      if (!index || *index >= size) {
        return "found item " + quote(parts[i], 60) + "; expected " +
               (size == 0 ? "none: " + walked + " is empty"
                          : "a number from 0 to " + std::to_string(size - 1));
      }
      if (is_last && value.kind == ConfigNode::Kind::kNull) {
        return "found null; expected a value, or the whole list: no item can be taken away";
      }
      walked = join_index(walked, *index);
      node = &node->items[*index];
      if (is_last) *node = std::move(value);
      continue;
    }
    if (node->kind != ConfigNode::Kind::kMap) {
      return "found a key below " + walked + "; expected none: that is a single value";
    }
    if (is_last) {
      ConfigNode patch;
      patch.kind = ConfigNode::Kind::kMap;
      patch.entries.push_back({parts[i], kHere, std::move(value)});
      merge_mapping(*node, std::move(patch));
      return "";
    }
    walked = join_key(walked, parts[i]);
    auto* entry = node->find(parts[i]);
    if (entry == nullptr) {
      ConfigNode empty;
      empty.kind = ConfigNode::Kind::kMap;
      empty.place = kHere;
      node->entries.push_back({parts[i], kHere, std::move(empty)});
      entry = &node->entries.back();
    }
    node = &entry->value;
  }
  return "";
}

}  // namespace

std::vector<std::string> split_path(const std::string& path) {
  std::vector<std::string> parts;
  size_t at = 0;
  while (at < path.size()) {
    std::string part;
    if (path[at] == '"') {
      const size_t end = path.find('"', at + 1);
      if (end == std::string::npos) return {};
      part = path.substr(at + 1, end - at - 1);
      at = end + 1;
    } else {
      const size_t end = std::min(path.find_first_of(".[\"", at), path.size());
      part = path.substr(at, end - at);
      at = end;
    }
    if (part.empty()) return {};
    parts.push_back(std::move(part));
    while (at < path.size() && path[at] == '[') {
      const size_t end = path.find(']', at);
      if (end == std::string::npos || end == at + 1) return {};
      parts.push_back(path.substr(at + 1, end - at - 1));
      at = end + 1;
    }
    if (at == path.size()) return parts;
    if (path[at] != '.') return {};
    ++at;
  }
  return {};  // empty, or a dot at the end
}

void apply_overrides(ConfigNode& root, const std::vector<std::string>& overrides,
                     std::vector<ConfigFault>& faults) {
  std::vector<std::string> seen;
  for (const std::string& text : overrides) {
    const size_t equals = find_equals(text);
    const auto parts = equals == std::string::npos ? std::vector<std::string>{}
                                                   : split_path(text.substr(0, equals));
    if (parts.empty()) {
      faults.push_back(
          {kHere, "", "found " + quote(text, 80) + "; expected key=value, such as optim.lr=1e-4"});
      continue;
    }
    std::string path;
    for (const auto& part : parts) path = join_key(path, part);
    if (std::find(seen.begin(), seen.end(), path) != seen.end()) {
      faults.push_back({kHere, path, "found twice; expected it once"});
      continue;
    }
    seen.push_back(path);
    if (parts[0] == "base") {
      faults.push_back({kHere, path, "found on the command line; expected only in a file"});
      continue;
    }
    ConfigNode value = parse_value(text.substr(equals + 1), path, faults);
    const std::string fault = place_value(root, parts, std::move(value));
    if (!fault.empty()) faults.push_back({kHere, path, fault});
  }
}

}  // namespace finer
