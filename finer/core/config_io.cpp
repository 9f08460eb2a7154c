#include "finer/core/config_io.h"

#include "finer/core/config_override.h"
#include "finer/core/config_reader.h"
#include "finer/core/error.h"
#include "finer/core/plain_text.h"
#include "finer/core/quote.h"

#include <algorithm>
#include <optional>
#include <system_error>
#include <utility>

namespace finer {

namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxLayers = 8;   // files that inherit from each other
constexpr size_t kMaxFaults = 50;  // lines shown; nobody reads more at once

// The file that `base:` names, or nothing where the value is none.
std::optional<std::string> base_path(const ConfigNode& value) {
  const bool is_path = value.kind == ConfigNode::Kind::kScalar && !value.text.empty() &&
                       std::all_of(value.text.begin(), value.text.end(),
                                   [](char c) { return static_cast<unsigned char>(c) >= 0x20; });
  return is_path ? std::optional<std::string>(value.text) : std::nullopt;
}

}  // namespace

ConfigDocument ConfigDocument::load(const fs::path& file,
                                    const std::vector<std::string>& overrides) {
  ConfigDocument document;
  document.root_ = document.load_layers(file);
  apply_overrides(document.root_, overrides, document.faults_);
  return document;
}

ConfigDocument ConfigDocument::from_overrides(const std::vector<std::string>& overrides) {
  ConfigDocument document;
  document.layer_names_.push_back("command line");
  document.root_.kind = ConfigNode::Kind::kMap;
  document.root_.place.layer = Place::kCommandLine;
  apply_overrides(document.root_, overrides, document.faults_);
  return document;
}

ConfigNode ConfigDocument::load_layers(const fs::path& file) {
  std::vector<ConfigNode> trees;
  std::vector<fs::path> identities;  // without links and dots, to notice a circle
  std::optional<fs::path> next = file;
  Place named_at{0, 1};  // where the next file is named

  while (next) {
    const fs::path current = *std::exchange(next, std::nullopt);
    const int layer = static_cast<int>(trees.size());
    std::error_code ignored;
    const fs::path identity = fs::weakly_canonical(current, ignored);
    std::string text;
    std::string fault;
    if (std::find(identities.begin(), identities.end(), identity) != identities.end()) {
      fault = "inherits from this file again; expected a file that does not lead back here";
    } else if (trees.size() == kMaxLayers) {
      fault = "is inherited file number " + std::to_string(kMaxLayers) + "; expected at most " +
              std::to_string(kMaxLayers - 1);
    } else {
      fault = read_small_file(current, text);
    }
    if (!fault.empty() && layer > 0) {
      faults_.push_back(
          {named_at, "base", "found " + quote(current.string()) + ", which " + fault});
      is_complete_ = false;
      break;
    }

    identities.push_back(identity);
    layer_names_.push_back(current.string());
    if (!fault.empty()) faults_.push_back({{0, 1}, "", fault});
    trees.push_back(fault.empty() ? parse_layer(text, layer) : ConfigNode{});
    is_complete_ = is_complete_ && trees.back().kind == ConfigNode::Kind::kMap;
    if (const auto* base = trees.back().find("base")) {
      named_at = base->value.place;
      if (const auto path = base_path(base->value)) {
        next = (current.parent_path() / *path).lexically_normal();
      } else {
        faults_.push_back({named_at, "base", "found no path; expected one file to inherit from"});
        is_complete_ = false;
      }
      auto& entries = trees.back().entries;
      entries.erase(entries.begin() + (base - entries.data()));
    }
  }

  ConfigNode root;
  root.kind = ConfigNode::Kind::kMap;
  for (auto tree = trees.rbegin(); tree != trees.rend(); ++tree) {
    if (tree->kind == ConfigNode::Kind::kMap) merge_mapping(root, std::move(*tree));
  }
  return root;
}

ConfigNode ConfigDocument::parse_layer(const std::string& text, int layer) {
  ConfigNode tree;
  if (const auto bad = find_bad_text(text)) {
    faults_.push_back({{layer, bad->line}, "", bad->what});
    return tree;
  }
  tree = parse_yaml(text, layer, faults_);
  if (tree.kind == ConfigNode::Kind::kNull) {
    faults_.push_back({{layer, 1}, "", "found no keys; expected key: value lines"});
  } else if (tree.kind == ConfigNode::Kind::kScalar || tree.kind == ConfigNode::Kind::kList) {
    faults_.push_back({tree.place, "", "found no mapping; expected key: value lines"});
  }
  return tree;
}

void ConfigDocument::read(const Describe& describe) {
  std::vector<std::string> paths;
  for (const KeyInfo& key : explain_config(describe)) paths.push_back(key.path);
  ConfigReader(root_, std::move(paths), is_complete_, faults_).read(describe);
}

const ConfigNode::Entry* ConfigDocument::find(const std::string& path) const {
  const ConfigNode* node = &root_;
  const ConfigNode::Entry* entry = nullptr;
  for (const std::string& part : split_path(path)) {
    entry = node->find(part);
    if (entry == nullptr) return nullptr;
    node = &entry->value;
  }
  return entry;
}

bool ConfigDocument::is_own(const std::string& path) const {
  const auto* entry = find(path);
  return entry != nullptr && (entry->place.layer == 0 || entry->place.layer == Place::kCommandLine);
}

bool ConfigDocument::is_sound(const std::string& path) const {
  return is_complete_ &&
         std::none_of(faults_.begin(), faults_.end(), [&](const ConfigFault& fault) {
           const std::string& at = fault.path;
           if (at.compare(0, path.size(), path) == 0) {
             return at.size() == path.size() || at[path.size()] == '.' || at[path.size()] == '[';
           }
           // A fault of a parent: nothing below it was read.
           return path.compare(0, at.size(), at) == 0 && !at.empty() && path[at.size()] == '.';
         });
}

Place ConfigDocument::nearest_place(const std::string& path) const {
  for (std::string at = path; !at.empty();) {
    if (const auto* entry = find(at)) {
      return entry->value.kind == ConfigNode::Kind::kScalar ? entry->value.place : entry->place;
    }
    const size_t cut = at.find_last_of(".[");
    at = cut == std::string::npos ? "" : at.substr(0, cut);
  }
  return root_.place;
}

void ConfigDocument::add_fault(const std::string& path, const std::string& what) {
  faults_.push_back({nearest_place(path), path, what});
}

std::string ConfigDocument::where(const std::string& path) const {
  return find(path) == nullptr ? "its default" : place_text(nearest_place(path));
}

std::string ConfigDocument::place_text(const Place& place) const {
  if (place.layer == Place::kCommandLine) return "command line";
  return layer_names_.at(static_cast<size_t>(place.layer)) + ":" + std::to_string(place.line);
}

void ConfigDocument::throw_faults() const {
  if (faults_.empty()) return;
  std::vector<ConfigFault> sorted = faults_;
  const auto rank = [](const Place& place) {
    return place.layer == Place::kCommandLine ? static_cast<int>(kMaxLayers) + 1 : place.layer;
  };
  std::stable_sort(sorted.begin(), sorted.end(), [&](const ConfigFault& a, const ConfigFault& b) {
    return std::make_pair(rank(a.place), a.place.line) <
           std::make_pair(rank(b.place), b.place.line);
  });
  std::string text;
  for (size_t i = 0; i < std::min(sorted.size(), kMaxFaults); ++i) {
    const ConfigFault& fault = sorted[i];
    text += (i == 0 ? "" : "\n") + place_text(fault.place) + ": " +
            (fault.path.empty() ? "" : fault.path + ": ") + fault.what;
  }
  if (sorted.size() > kMaxFaults) {
    text += "\n... and " + std::to_string(sorted.size() - kMaxFaults) + " more";
  }
  throw RecipeError(text);
}

}  // namespace finer
