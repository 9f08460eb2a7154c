#pragma once

#include "finer/core/fields.h"
#include "finer/core/yaml_tree.h"

#include <string>
#include <vector>

namespace finer {

/// Goes over described structs and fills them from a tree; what does not fit goes to `faults`.
class ConfigReader : public FieldVisitor {
 public:
  /// all_paths    every key there is, dotted: where a misplaced key belongs
  /// is_complete  false: part of the input is lost, so that absent keys are no faults
  ConfigReader(const ConfigNode& root, std::vector<std::string> all_paths, bool is_complete,
               std::vector<ConfigFault>& faults);

  void read(const Describe& describe);

 protected:
  void on_scalar(const Field& field, ScalarRef value) override;
  void on_section(const Field& field, const Describe& describe_inner) override;
  void on_items(const Field& field, const ItemsRef& items) override;

 private:
  // A value to read, with the path that leads to it. node is null where the key is absent.
  struct Found {
    const ConfigNode* node = nullptr;
    std::string path;
    Place key_place;
  };
  Found take(const Field& field);
  void read_section(const Found& found, const Describe& describe_inner);
  bool expect(const Found& found, ConfigNode::Kind kind, const std::string& wanted);
  void add_fault(const Found& found, std::string what);
  void report_missing(const Found& found, const Field& field, const std::string& wanted);
  void report_unknown(const ConfigNode& map);
  void check_distinct(const Found& found);

  const ConfigNode* section_;  // mapping being read; null where it is absent
  Place section_place_;
  std::string section_path_;
  std::vector<std::string> known_keys_;  // described so far in this mapping
  const Found* item_ = nullptr;          // list item or map value that the next visit reads
  std::vector<std::string> all_paths_;
  bool is_complete_;
  std::vector<ConfigFault>& faults_;
};

}  // namespace finer
