// The described structs as text: YAML (write_config) and documentation (explain_config).
#include "finer/core/config_io.h"
#include "finer/core/scalar_text.h"

#include <utility>

namespace finer {

namespace {

std::string scalar_text(const ScalarRef& value) {
  if (auto* flag = std::get_if<bool*>(&value)) return **flag ? "true" : "false";
  if (auto* whole = std::get_if<int64_t*>(&value)) return std::to_string(**whole);
  if (auto* natural = std::get_if<uint64_t*>(&value)) return std::to_string(**natural);
  if (auto* real = std::get_if<double*>(&value)) return real_text(**real);
  return yaml_text(*std::get<std::string*>(value));
}

// Collects list items as text.
class ItemTexts : public FieldVisitor {
 public:
  std::vector<std::string> texts;

 protected:
  void on_scalar(const Field&, ScalarRef value) override { texts.push_back(scalar_text(value)); }
  void on_section(const Field&, const Describe&) override {}
  void on_items(const Field&, const ItemsRef&) override {}
};

std::string flow_text(const ItemsRef& items) {
  ItemTexts collected;
  for (size_t i = 0; i < items.size; ++i) items.visit_at(collected, {}, i);
  for (const auto& key : items.keys) items.visit_key(collected, {}, key);
  std::string text;
  for (size_t i = 0; i < collected.texts.size(); ++i) {
    text += (i == 0 ? "" : ", ") + (items.is_map ? yaml_text(items.keys[i]) + ": " : "") +
            collected.texts[i];
  }
  return items.is_map ? "{" + text + "}" : "[" + text + "]";
}

class Writer : public FieldVisitor {
 public:
  std::string text;

 protected:
  void on_scalar(const Field& field, ScalarRef value) override {
    line(field.name + ": " + scalar_text(value));
  }

  void on_section(const Field& field, const Describe& describe_inner) override {
    if (field.is_given != nullptr && !*field.is_given) return;
    if (!field.name.empty()) line(field.name + ":");
    indent_ += field.name.empty() ? 0 : 2;
    const size_t before = text.size();
    describe_inner(*this);
    indent_ -= field.name.empty() ? 0 : 2;
    if (text.size() == before) text.insert(before - 1, " {}");
  }

  void on_items(const Field& field, const ItemsRef& items) override {
    if (items.holds_scalars || items.size == 0) {
      line(field.name + ": " + flow_text(items));
      return;
    }
    line(field.name + ":");
    indent_ += 4;
    for (size_t i = 0; i < items.size; ++i) {
      starts_item_ = true;
      items.visit_at(*this, {}, i);
    }
    indent_ -= 4;
  }

 private:
  void line(const std::string& content) {
    const size_t blank = indent_ - (starts_item_ ? 2 : 0);
    text +=
        std::string(blank, ' ') + (std::exchange(starts_item_, false) ? "- " : "") + content + "\n";
  }

  size_t indent_ = 0;
  bool starts_item_ = false;  // the next line is the first of a list item
};

class Explainer : public FieldVisitor {
 public:
  std::vector<KeyInfo> keys;

 protected:
  void on_scalar(const Field& field, ScalarRef value) override {
    static const char* const kTypes[] = {"true or false", "whole number",
                                         "whole number from 0 to 2^64 - 1", "number", "text"};
    add(field, kTypes[value.index()], scalar_text(value));
  }

  void on_section(const Field& field, const Describe& describe_inner) override {
    // An item of a list was added with the list.
    if (!field.name.empty()) {
      add(field, "section", "");
      keys.back().is_section = true;
    }
    const std::string outer = std::exchange(prefix_, path_of(field));
    describe_inner(*this);
    prefix_ = outer;
  }

  void on_items(const Field& field, const ItemsRef& items) override {
    Explainer item;
    items.visit_blank(item, field);
    const std::string type = items.holds_scalars ? item.keys.front().type : "sections";
    add(field, (items.is_map ? "mapping of text to " : "list of ") + type,
        items.holds_scalars || items.size == 0 ? flow_text(items) : "");
    if (items.holds_scalars) return;
    const std::string outer = std::exchange(prefix_, path_of(field) + "[]");
    items.visit_blank(*this, {});
    prefix_ = outer;
  }

 private:
  std::string path_of(const Field& field) const {
    if (field.name.empty()) return prefix_;
    return prefix_.empty() ? field.name : prefix_ + "." + field.name;
  }

  void add(const Field& field, const std::string& type, std::string default_value) {
    if (field.has(Rule::Kind::kRequired)) default_value = "required";
    for (const Rule& rule : field.rules) {
      if (rule.kind == Rule::Kind::kDefault) default_value = rule.words;
    }
    keys.push_back({path_of(field), type, default_value, rule_words(field.rules), field.meaning});
  }

  std::string prefix_;
};

}  // namespace

std::string write_config(const Describe& describe) {
  Writer writer;
  describe(writer);
  return writer.text;
}

std::vector<KeyInfo> explain_config(const Describe& describe) {
  Explainer explainer;
  describe(explainer);
  return explainer.keys;
}

}  // namespace finer
