#include "finer/core/fields.h"

#include "finer/core/scalar_text.h"

#include <algorithm>

namespace finer {

namespace {

bool number_keeps(const Rule& rule, double value) {
  switch (rule.kind) {
    case Rule::Kind::kAtLeast:
      return value >= rule.low;
    case Rule::Kind::kAbove:
      return value > rule.low;
    case Rule::Kind::kAtMost:
      return value <= rule.high;
    case Rule::Kind::kBelow:
      return value < rule.high;
    case Rule::Kind::kBetween:
      return rule.low <= value && value <= rule.high;
    default:
      return true;
  }
}

bool text_keeps(const Rule& rule, const std::string& value) {
  switch (rule.kind) {
    case Rule::Kind::kOneOf:
      return std::find(rule.names.begin(), rule.names.end(), value) != rule.names.end();
    case Rule::Kind::kMatches:
      return rule.test(value);
    case Rule::Kind::kNotEmpty:
      return !value.empty();
    default:
      return true;
  }
}

std::string one_rule_words(const Rule& rule) {
  switch (rule.kind) {
    case Rule::Kind::kAtLeast:
      return "at least " + bound_text(rule.low);
    case Rule::Kind::kAbove:
      return "above " + bound_text(rule.low);
    case Rule::Kind::kAtMost:
      return "at most " + bound_text(rule.high);
    case Rule::Kind::kBelow:
      return "below " + bound_text(rule.high);
    case Rule::Kind::kBetween:
      return "between " + bound_text(rule.low) + " and " + bound_text(rule.high);
    case Rule::Kind::kOneOf: {
      std::string words;
      for (const auto& name : rule.names) words += (words.empty() ? "one of " : ", ") + name;
      return words;
    }
    case Rule::Kind::kMatches:
      return rule.words;
    case Rule::Kind::kNotEmpty:
      return "not empty";
    case Rule::Kind::kDistinct:
      return "nothing twice";
    case Rule::Kind::kRequired:
    case Rule::Kind::kDefault:
      return "";
  }
  return "";
}

}  // namespace

bool Field::has(Rule::Kind kind) const {
  return std::any_of(rules.begin(), rules.end(), [&](const Rule& r) { return r.kind == kind; });
}

std::string type_words(const ScalarRef& value) {
  static const char* const kWords[] = {"true or false", "a whole number",
                                       "a whole number from 0 to 2^64 - 1", "a number", "text"};
  return kWords[value.index()];
}

std::string rule_words(const std::vector<Rule>& rules) {
  std::string all;
  for (const Rule& rule : rules) {
    const std::string words = one_rule_words(rule);
    if (!words.empty()) all += (all.empty() ? "" : " and ") + words;
  }
  return all;
}

bool keeps_rules(const std::vector<Rule>& rules, const ScalarRef& value) {
  for (const Rule& rule : rules) {
    bool keeps = true;
    if (auto* whole = std::get_if<int64_t*>(&value)) {
      keeps = number_keeps(rule, static_cast<double>(**whole));
    } else if (auto* natural = std::get_if<uint64_t*>(&value)) {
      keeps = number_keeps(rule, static_cast<double>(**natural));
    } else if (auto* real = std::get_if<double*>(&value)) {
      keeps = number_keeps(rule, **real);
    } else if (auto* text = std::get_if<std::string*>(&value)) {
      keeps = text_keeps(rule, **text);
    }
    if (!keeps) return false;
  }
  return true;
}

}  // namespace finer
