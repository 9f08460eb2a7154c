#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace finer {

/// What a value must be. Plain data, so that the reader can test it and the documentation can print
/// it.
///
/// Rules on a list or a map hold for each item; kNotEmpty and kDistinct also for the list itself.
struct Rule {
  enum class Kind {
    kAtLeast,   // low <= value
    kAbove,     // low < value
    kAtMost,    // value <= high
    kBelow,     // value < high
    kBetween,   // low <= value <= high
    kOneOf,     // one of names
    kMatches,   // test(value); words say what it wants
    kNotEmpty,  // text, list or map with something in it
    kDistinct,  // a list without an item twice
    kRequired,  // the key must be there
    kDefault,   // no rule: words say what holds where the key is absent
  };
  Kind kind;
  double low = 0;  // bounds on whole numbers stay below 2^53, so comparing as double is exact
  double high = 0;
  std::vector<std::string> names;
  std::string words;
  bool (*test)(const std::string&) = nullptr;
};

inline Rule at_least(double low) { return {.kind = Rule::Kind::kAtLeast, .low = low}; }
inline Rule above(double low) { return {.kind = Rule::Kind::kAbove, .low = low}; }
inline Rule at_most(double high) { return {.kind = Rule::Kind::kAtMost, .high = high}; }
inline Rule below(double high) { return {.kind = Rule::Kind::kBelow, .high = high}; }
inline Rule between(double low, double high) {
  return {.kind = Rule::Kind::kBetween, .low = low, .high = high};
}
template <class... Names>
Rule one_of(Names... names) {
  return {.kind = Rule::Kind::kOneOf, .names = {std::string(names)...}};
}
inline Rule matches(std::string words, bool (*test)(const std::string&)) {
  return {.kind = Rule::Kind::kMatches, .words = std::move(words), .test = test};
}
inline Rule not_empty() { return {.kind = Rule::Kind::kNotEmpty}; }
inline Rule distinct() { return {.kind = Rule::Kind::kDistinct}; }
inline Rule required() { return {.kind = Rule::Kind::kRequired}; }
inline Rule default_is(std::string words) {
  return {.kind = Rule::Kind::kDefault, .words = std::move(words)};
}

using ScalarRef = std::variant<bool*, int64_t*, uint64_t*, double*, std::string*>;

/// One key: its name, one line on its meaning, and its rules.
struct Field {
  std::string name;
  std::string meaning;
  std::vector<Rule> rules;
  bool* is_given = nullptr;  // of an optional section: whether the key is there

  bool has(Rule::Kind kind) const;
};

/// "a whole number", "text", ...: the type, as a message names it.
std::string type_words(const ScalarRef& value);

/// The rules in words: "at least 1", "above 0 and below 1", "one of a, b"; "" where there is none.
std::string rule_words(const std::vector<Rule>& rules);

/// Whether the value keeps to all rules.
bool keeps_rules(const std::vector<Rule>& rules, const ScalarRef& value);

class FieldVisitor;

/// A list or map in a struct, seen without its element type. Items are visited as fields of their
/// own.
struct ItemsRef {
  bool is_map = false;
  bool holds_scalars = false;
  std::vector<std::string> keys;                                      // of a map, as it is now
  size_t size = 0;                                                    // of a list, as it is now
  std::function<void(size_t)> resize;                                 // of a list; a map is emptied
  std::function<void(FieldVisitor&, const Field&, size_t)> visit_at;  // of a list
  std::function<void(FieldVisitor&, const Field&, const std::string&)>
      visit_key;  // of a map; made if new
  std::function<void(FieldVisitor&, const Field&)>
      visit_blank;  // a default item, for documentation
};

/// What goes over the keys of a struct: reader, writer, documentation.
///
/// A struct takes part by a function beside it, found by argument-dependent look-up:
///   inline void describe(FieldVisitor& v, LoraConfig& c) {
///     v.field("rank", c.rank, "inner size of each update", between(1, 65536));
///   }
/// Kinds: bool, int64_t, uint64_t, double, std::string, described structs, std::vector of strings
/// or structs, std::map from std::string to a scalar.
class FieldVisitor {
 public:
  virtual ~FieldVisitor() = default;

  template <class T, class... Rules>
  void field(const char* name, T& value, const char* meaning, Rules... rules) {
    visit({name, meaning, {std::move(rules)...}, nullptr}, value);
  }

  /// A section whose presence means something: is_given says whether the key is there.
  template <class T>
  void optional_field(const char* name, T& value, bool& is_given, const char* meaning) {
    visit({name, meaning, {}, &is_given}, value);
  }

  void visit(const Field& field, bool& value) { on_scalar(field, &value); }
  void visit(const Field& field, int64_t& value) { on_scalar(field, &value); }
  void visit(const Field& field, uint64_t& value) { on_scalar(field, &value); }
  void visit(const Field& field, double& value) { on_scalar(field, &value); }
  void visit(const Field& field, std::string& value) { on_scalar(field, &value); }

  template <class T>
  void visit(const Field& field, T& value) {
    on_section(field, [&value](FieldVisitor& inner) { describe(inner, value); });
  }

  template <class T>
  void visit(const Field& field, std::vector<T>& list) {
    on_items(field, ItemsRef{
                        .holds_scalars = std::is_same_v<T, std::string>,
                        .size = list.size(),
                        .resize = [&list](size_t size) { list.assign(size, T{}); },
                        .visit_at = [&list](FieldVisitor& v, const Field& f,
                                            size_t i) { v.visit(f, list[i]); },
                        .visit_blank =
                            [](FieldVisitor& v, const Field& f) {
                              T blank{};
                              v.visit(f, blank);
                            },
                    });
  }

  template <class T>
  void visit(const Field& field, std::map<std::string, T>& map) {
    ItemsRef items{
        .is_map = true,
        .holds_scalars = true,
        .resize = [&map](size_t) { map.clear(); },
        .visit_key = [&map](FieldVisitor& v, const Field& f,
                            const std::string& key) { v.visit(f, map[key]); },
        .visit_blank =
            [](FieldVisitor& v, const Field& f) {
              T blank{};
              v.visit(f, blank);
            },
    };
    for (const auto& [key, value] : map) items.keys.push_back(key);
    on_items(field, items);
  }

 protected:
  virtual void on_scalar(const Field& field, ScalarRef value) = 0;
  virtual void on_section(const Field& field,
                          const std::function<void(FieldVisitor&)>& describe_inner) = 0;
  virtual void on_items(const Field& field, const ItemsRef& items) = 0;
};

using Describe = std::function<void(FieldVisitor&)>;

}  // namespace finer
