#include "finer/core/config_reader.h"

#include "finer/core/near_miss.h"
#include "finer/core/quote.h"
#include "finer/core/scalar_text.h"

#include <algorithm>
#include <set>
#include <utility>

namespace finer {

namespace {

// What was wanted, in words: "a whole number, at least 1", "one of pad, crop".
std::string wanted_words(const ScalarRef& value, const std::vector<Rule>& rules) {
  const std::string words = rule_words(rules);
  const bool says_all = std::any_of(rules.begin(), rules.end(), [](const Rule& rule) {
    return rule.kind == Rule::Kind::kOneOf || rule.kind == Rule::Kind::kMatches;
  });
  if (words.empty()) return type_words(value);
  return says_all ? words : type_words(value) + ", " + words;
}

// What a value is, for "found ...".
std::string found_words(const ConfigNode& node) {
  switch (node.kind) {
    case ConfigNode::Kind::kNull:
      return "null";
    case ConfigNode::Kind::kList:
      return "a list";
    case ConfigNode::Kind::kMap:
      return "a mapping";
    default:
      break;
  }
  const bool is_bare = !node.is_quoted && reads_as_bool_or_number(node.text);
  return is_bare && node.text.size() <= 60 ? node.text : quote(node.text, 60);
}

bool has_control_character(const std::string& text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

// Puts the text into the value; returns what was expected instead, or "".
std::string parse_scalar(const ConfigNode& node, const ScalarRef& value,
                         const std::vector<Rule>& rules) {
  const std::string wanted = wanted_words(value, rules);
  if (auto* text = std::get_if<std::string*>(&value)) {
    // On the command line there are no types to see: 2024 may well be a folder.
    const bool is_typed = !node.is_quoted && node.place.layer != Place::kCommandLine;
    if (is_typed && reads_as_bool_or_number(node.text)) {
      return wanted + (wanted.rfind("text", 0) == 0 ? " (in quotes)" : "");
    }
    if (has_control_character(node.text)) return "text in one line, without control characters";
    **text = node.text;
    return "";
  }
  if (node.is_quoted) return wanted + " (without quotes)";
  if (auto* flag = std::get_if<bool*>(&value)) {
    if (node.text != "true" && node.text != "false") return wanted;
    **flag = node.text == "true";
    return "";
  }
  NumberFault fault = NumberFault::kNone;
  if (auto* whole = std::get_if<int64_t*>(&value)) fault = parse_whole(node.text, **whole);
  if (auto* natural = std::get_if<uint64_t*>(&value)) fault = parse_whole(node.text, **natural);
  if (auto* real = std::get_if<double*>(&value)) fault = parse_real(node.text, **real);
  if (fault == NumberFault::kNone) return "";
  return fault == NumberFault::kOutOfRange ? wanted + " (it does not fit into 64 bits)" : wanted;
}

// Types without the storage: reads into a value of the same kind that is thrown away when it is at
// fault.
template <class T>
std::string read_checked(const ConfigNode& node, T* target, const std::vector<Rule>& rules) {
  T value{};
  const std::string wanted = parse_scalar(node, ScalarRef(&value), rules);
  if (!wanted.empty()) return "; expected " + wanted;
  if (!keeps_rules(rules, ScalarRef(&value))) {
    std::string expected = "; expected " + wanted_words(ScalarRef(&value), rules);
    for (const Rule& rule : rules) {
      if (rule.kind != Rule::Kind::kOneOf) continue;
      const std::string near = nearest(node.text.substr(0, 60), rule.names);
      if (!near.empty()) expected += "; did you mean " + quote(near) + "?";
    }
    return expected;
  }
  *target = std::move(value);
  return "";
}

}  // namespace

ConfigReader::ConfigReader(const ConfigNode& root, std::vector<std::string> all_paths,
                           bool is_complete, std::vector<ConfigFault>& faults)
    : section_(&root),
      section_place_(root.place),
      all_paths_(std::move(all_paths)),
      is_complete_(is_complete),
      faults_(faults) {}

void ConfigReader::read(const Describe& describe) {
  read_section({section_, "", section_place_}, describe);
}

ConfigReader::Found ConfigReader::take(const Field& field) {
  if (item_ != nullptr) return *std::exchange(item_, nullptr);
  known_keys_.push_back(field.name);
  Found found{nullptr, join_key(section_path_, field.name), section_place_};
  if (section_ != nullptr) {
    if (const auto* entry = section_->find(field.name)) {
      found.node = &entry->value;
      found.key_place = entry->place;
    }
  }
  return found;
}

void ConfigReader::add_fault(const Found& found, std::string what) {
  const Place place = found.node != nullptr ? found.node->place : found.key_place;
  faults_.push_back({place, found.path, std::move(what)});
}

void ConfigReader::report_missing(const Found& found, const Field& field,
                                  const std::string& wanted) {
  if (!is_complete_ || !field.has(Rule::Kind::kRequired)) return;
  add_fault(found, "missing; expected " + wanted + " (" + field.meaning + ")");
}

bool ConfigReader::expect(const Found& found, ConfigNode::Kind kind, const std::string& wanted) {
  const ConfigNode& node = *found.node;
  if (node.kind == kind) return true;
  if (node.kind == ConfigNode::Kind::kFaulty) return false;
  if (node.kind == ConfigNode::Kind::kNull) {
    add_fault(found, "found null, and no base file to take a value back from; expected " + wanted +
                         ", or the key left out");
  } else {
    add_fault(found, "found " + found_words(node) + "; expected " + wanted);
  }
  return false;
}

void ConfigReader::on_scalar(const Field& field, ScalarRef value) {
  const Found found = take(field);
  const std::string wanted = wanted_words(value, field.rules);
  if (found.node == nullptr) {
    report_missing(found, field, wanted);
    return;
  }
  if (!expect(found, ConfigNode::Kind::kScalar, wanted)) return;
  const std::string fault = std::visit(
      [&](auto* target) { return read_checked(*found.node, target, field.rules); }, value);
  if (!fault.empty()) add_fault(found, "found " + found_words(*found.node) + fault);
}

void ConfigReader::on_section(const Field& field, const Describe& describe_inner) {
  const Found found = take(field);
  if (field.is_given != nullptr) {
    *field.is_given = found.node != nullptr;
    if (found.node == nullptr) return;
  }
  if (found.node == nullptr && field.has(Rule::Kind::kRequired)) {
    report_missing(found, field, "a mapping");
    return;
  }
  if (found.node != nullptr && !expect(found, ConfigNode::Kind::kMap, "a mapping")) return;
  read_section(found, describe_inner);
}

void ConfigReader::read_section(const Found& found, const Describe& describe_inner) {
  const auto* outer_section = std::exchange(section_, found.node);
  const Place outer_place = std::exchange(section_place_, found.key_place);
  const std::string outer_path = std::exchange(section_path_, found.path);
  std::vector<std::string> outer_keys = std::exchange(known_keys_, {});

  describe_inner(*this);
  if (section_ != nullptr) report_unknown(*section_);

  section_ = outer_section;
  section_place_ = outer_place;
  section_path_ = outer_path;
  known_keys_ = std::move(outer_keys);
}

void ConfigReader::report_unknown(const ConfigNode& map) {
  for (const auto& entry : map.entries) {
    if (std::find(known_keys_.begin(), known_keys_.end(), entry.key) != known_keys_.end()) continue;
    // A key that exists, only elsewhere, is told its place.
    std::string elsewhere;
    for (const std::string& path : all_paths_) {
      const size_t dot = path.rfind('.');
      if (path.substr(dot == std::string::npos ? 0 : dot + 1) != entry.key) continue;
      elsewhere += (elsewhere.empty() ? "; did you mean " : " or ") + quote(path);
    }
    if (!elsewhere.empty()) elsewhere += "?";
    const std::string short_key = entry.key.substr(0, 60);
    faults_.push_back(
        {entry.place, join_key(section_path_, entry.key),
         "unknown key" + (elsewhere.empty() ? did_you_mean(short_key, known_keys_) : elsewhere)});
  }
}

void ConfigReader::on_items(const Field& field, const ItemsRef& items) {
  const Found found = take(field);
  const std::string wanted = items.is_map ? "a mapping" : "a list";
  if (found.node == nullptr) {
    report_missing(found, field, wanted);
    return;
  }
  const auto kind = items.is_map ? ConfigNode::Kind::kMap : ConfigNode::Kind::kList;
  if (!expect(found, kind, wanted)) return;
  const ConfigNode& node = *found.node;
  const size_t count = items.is_map ? node.entries.size() : node.items.size();
  if (count == 0 && field.has(Rule::Kind::kNotEmpty)) {
    add_fault(found, "found an empty " + wanted.substr(2) + "; expected at least one item");
    return;
  }
  if (field.has(Rule::Kind::kDistinct)) check_distinct(found);

  Field item_field = field;
  item_field.is_given = nullptr;
  std::erase_if(item_field.rules, [](const Rule& rule) {
    return rule.kind == Rule::Kind::kDistinct || rule.kind == Rule::Kind::kRequired;
  });
  items.resize(count);
  for (size_t i = 0; i < count; ++i) {
    Found item;
    if (items.is_map) {
      const auto& entry = node.entries[i];
      item = {&entry.value, join_key(found.path, entry.key), entry.place};
      item_ = &item;
      items.visit_key(*this, item_field, entry.key);
    } else {
      item = {&node.items[i], join_index(found.path, i), node.items[i].place};
      item_ = &item;
      items.visit_at(*this, item_field, i);
    }
    item_ = nullptr;
  }
}

void ConfigReader::check_distinct(const Found& found) {
  std::set<std::string> seen;
  for (size_t i = 0; i < found.node->items.size(); ++i) {
    const ConfigNode& item = found.node->items[i];
    if (item.kind != ConfigNode::Kind::kScalar || seen.insert(item.text).second) continue;
    faults_.push_back({item.place, join_index(found.path, i),
                       "found " + found_words(item) + " a second time; expected it once"});
  }
}

}  // namespace finer
