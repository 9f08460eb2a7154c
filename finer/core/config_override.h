#pragma once

#include "finer/core/yaml_tree.h"

#include <string>
#include <vector>

namespace finer {

/// "a.b", "a.0", "a[0]", "a.\"key.with.dots\"" into its parts; empty where it is malformed.
std::vector<std::string> split_path(const std::string& path);

/// Lays `a.b=c` texts from the command line over a tree. A value that begins with [ { " or ' is
/// YAML (flow lists and mappings, quoted text), any other is taken as it stands; null or nothing
/// takes a key away.
void apply_overrides(ConfigNode& root, const std::vector<std::string>& overrides,
                     std::vector<ConfigFault>& faults);

}  // namespace finer
