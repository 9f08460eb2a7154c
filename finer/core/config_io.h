#pragma once

#include "finer/core/fields.h"
#include "finer/core/yaml_tree.h"

#include <filesystem>
#include <string>
#include <vector>

namespace finer {

/// A YAML file with the files it inherits from (`base:`) and overrides from the command line,
/// merged, and all that is wrong with them. Nothing throws before throw_faults(), so that a user
/// sees every fault at once.
///
/// Merging: mappings key by key, everything else replaces. `null` takes back what an inherited file
/// says.
///
///   auto document = ConfigDocument::load(file, overrides);
///   document.read([&](FieldVisitor& v) { describe(v, config); });
///   if (...) document.add_fault("a.b", "...");   // cross checks
///   document.throw_faults();
class ConfigDocument {
 public:
  static ConfigDocument load(const std::filesystem::path& file,
                             const std::vector<std::string>& overrides);
  /// Without a file: all keys come from the command line.
  static ConfigDocument from_overrides(const std::vector<std::string>& overrides);

  /// Fills the described structs. A key that is absent or at fault leaves its value as it was.
  void read(const Describe& describe);

  /// Whether a key is there, in any layer. Paths: "optim.lr".
  bool has(const std::string& path) const { return find(path) != nullptr; }
  /// The same, in the file itself or on the command line: not inherited.
  bool is_own(const std::string& path) const;
  /// Whether nothing was wrong at or below this path, and every file was read: only then a cross
  /// check of its value makes sense.
  bool is_sound(const std::string& path) const;

  /// Adds a fault, placed where the key stands or, where it is absent, its nearest parent.
  void add_fault(const std::string& path, const std::string& what);
  /// "FILE:LINE" of a key, "command line", or "its default".
  std::string where(const std::string& path) const;

  /// Throws: RecipeError with every fault, one a line, "FILE:LINE: key: what" or "command line:
  /// key: what".
  void throw_faults() const;

 private:
  const ConfigNode::Entry* find(const std::string& path) const;
  Place nearest_place(const std::string& path) const;
  std::string place_text(const Place& place) const;
  ConfigNode load_layers(const std::filesystem::path& file);
  ConfigNode parse_layer(const std::string& text, int layer);

  ConfigNode root_;
  std::vector<std::string> layer_names_;
  bool is_complete_ = true;  // false: a file could not be read, so absent keys say nothing
  std::vector<ConfigFault> faults_;
};

/// The described structs as YAML in block style; a list of scalars in one line. Optional sections
/// that are not given are left out. Reads back to equal values.
std::string write_config(const Describe& describe);

/// One key as documentation shows it.
struct KeyInfo {
  std::string path;           // "data.sets[].path", "lora.rank_pattern.*"
  std::string type;           // "whole number", "list of text", "section", ...
  std::string default_value;  // as YAML; "required"; "" for a section
  std::string range;
  std::string meaning;
  bool is_section = false;
};

/// All keys of the described structs, as they are now (default constructed: the defaults), parents
/// first.
std::vector<KeyInfo> explain_config(const Describe& describe);

}  // namespace finer
