#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace finer {

/// Where a value was written. layer: 0 the file itself, 1 the file it inherits from, and so on.
struct Place {
  static constexpr int kCommandLine = -1;
  int layer = 0;
  int line = 1;
};

/// One thing wrong with what the user wrote. path: dotted key, may be empty.
struct ConfigFault {
  Place place;
  std::string path;
  std::string what;
};

/// YAML as written: scalars are text, nothing is typed yet, every value has its place.
struct ConfigNode {
  enum class Kind {
    kNull,
    kScalar,
    kList,
    kMap,
    kFaulty,  // already reported; nobody looks inside
  };
  struct Entry;

  Kind kind = Kind::kNull;
  bool is_quoted = false;
  std::string text;  // kScalar
  Place place;
  std::vector<ConfigNode> items;  // kList
  std::vector<Entry> entries;     // kMap, in the order written, no key twice

  Entry* find(std::string_view key);
  const Entry* find(std::string_view key) const;
};

struct ConfigNode::Entry {
  std::string key;
  Place place;  // of the key
  ConfigNode value;
};

/// "a.b", "a.\"odd key\"": a key below a path; "a[2]": an item.
std::string join_key(const std::string& path, const std::string& key);
std::string join_index(const std::string& path, size_t index);

/// Lays `from` over `into`: mappings key by key, anything else replaces, null takes a key away that
/// is there.
void merge_mapping(ConfigNode& into, ConfigNode from);

/// Reads one YAML document. What recipes do not have (anchors, aliases, tags, merge keys, keys
/// twice, keys that are no text, a second document) and broken YAML go to `faults`; the rest of the
/// tree is still there.
ConfigNode parse_yaml(const std::string& text, int layer, std::vector<ConfigFault>& faults);

}  // namespace finer
