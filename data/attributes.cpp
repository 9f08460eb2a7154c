#include "data/attributes.h"

#include "finer/core/error.h"
#include "finer/core/quote.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string_view>
#include <utility>

namespace finer::data {

namespace {

using nlohmann::json;

constexpr size_t kAmbiguous = SIZE_MAX;  // a name of two concepts that differ: no way to tell which

std::string read_attribute_file(const std::filesystem::path& file) {
  std::error_code fault;
  if (std::filesystem::is_directory(file, fault))
    throw DataError(file.string() + ": is a folder; expected a JSON file of concept attributes");
  std::ifstream in(file, std::ios::binary);
  if (!in) throw DataError(file.string() + ": cannot be opened: " + std::strerror(errno));
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (in.bad()) throw DataError(file.string() + ": cannot be read");
  return text;
}

json parse_attribute_file(const std::filesystem::path& file) {
  try {
    return json::parse(read_attribute_file(file));
  } catch (const json::parse_error& error) {
    throw DataError(file.string() + ": is not valid JSON at byte " + std::to_string(error.byte));
  } catch (const json::exception& error) {
    throw DataError(file.string() + ": is not valid JSON: " + quote(error.what()));
  }
}

std::string with_article(const json& value) {
  const std::string name = value.type_name();
  if (name == "null") return name;
  return (name == "array" || name == "object" ? "an " : "a ") + name;
}

std::string trimmed(const std::string& text) {
  constexpr const char* kBlank = " \t\r\n";
  const auto begin = text.find_first_not_of(kBlank);
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(kBlank) + 1 - begin);
}

// The texts of object[key], without the blank ones; empty where the key is absent or null.
std::vector<std::string> read_texts(const json& object, const char* key, const std::string& where) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return {};
  if (!found->is_array()) {
    throw DataError(where + key + " is " + with_article(*found) + "; expected a list of texts");
  }
  std::vector<std::string> texts;
  for (size_t i = 0; i < found->size(); ++i) {
    const json& item = (*found)[i];
    if (!item.is_string()) {
      throw DataError(where + key + "[" + std::to_string(i) + "] is " + with_article(item) +
                      "; expected text");
    }
    std::string text = trimmed(item.get_ref<const std::string&>());
    if (!text.empty()) texts.push_back(std::move(text));
  }
  return texts;
}

// One entry and the names it answers to.
std::pair<ConceptAttributes, std::vector<std::string>> read_entry(const json& entry,
                                                                  const std::string& where) {
  if (!entry.is_object()) {
    throw DataError(where + "is " + with_article(entry) + "; expected an object");
  }
  ConceptAttributes concept_;
  if (const auto id = entry.find("id"); id != entry.end() && !id->is_null()) {
    if (!id->is_string() && !id->is_number()) {
      throw DataError(where + "id is " + with_article(*id) + "; expected text or a number");
    }
    concept_.id = id->is_string() ? id->get<std::string>() : id->dump();
  }
  std::vector<std::string> names = read_texts(entry, "fine", where);
  if (const auto name = entry.find("name"); name != entry.end() && !name->is_null()) {
    if (!name->is_string()) {
      throw DataError(where + "name is " + with_article(*name) + "; expected text");
    }
    concept_.name = trimmed(name->get_ref<const std::string&>());
    if (!concept_.name.empty()) names.insert(names.begin(), concept_.name);
  }
  if (names.empty()) throw DataError(where + "has no name; expected \"name\" or \"fine\"");
  if (concept_.name.empty()) concept_.name = names.front();

  const auto nested = entry.find("attr_binomial");
  const bool is_nested = nested != entry.end();
  if (!is_nested && !entry.contains("required") && !entry.contains("likely")) {
    throw DataError(where + "has no attributes; expected \"attr_binomial\" or \"required\"");
  }
  if (is_nested && !nested->is_object()) {
    throw DataError(where + "attr_binomial is " + with_article(*nested) + "; expected an object");
  }
  const json& lists = is_nested ? *nested : entry;
  const std::string at = where + (is_nested ? "attr_binomial." : "");
  concept_.required = read_texts(lists, "required", at);
  concept_.likely = read_texts(lists, "likely", at);
  return {std::move(concept_), std::move(names)};
}

bool same_attributes(const ConceptAttributes& a, const ConceptAttributes& b) {
  return a.required == b.required && a.likely == b.likely;
}

}  // namespace

AttributeTable AttributeTable::load(const std::vector<std::filesystem::path>& files) {
  AttributeTable table;
  for (const auto& file : files) {
    const json root = parse_attribute_file(file);
    if (!root.is_array()) {
      throw DataError(file.string() + ": is " + with_article(root) +
                      "; expected a list of entries");
    }
    for (size_t i = 0; i < root.size(); ++i) {
      auto [entry, names] =
          read_entry(root[i], file.string() + ": entry " + std::to_string(i) + ": ");
      const size_t number = table.concepts_.size();
      for (const auto& name : names) {
        const auto [at, is_new] = table.by_name_.emplace(normalised_label(name), number);
        if (is_new || at->second == kAmbiguous || at->second == number) continue;
        if (same_attributes(table.concepts_[at->second], entry)) continue;
        at->second = kAmbiguous;
        table.ambiguous_names_.push_back(name);
      }
      table.concepts_.push_back(std::move(entry));
    }
  }
  return table;
}

const ConceptAttributes* AttributeTable::find(const std::vector<std::string>& fine_labels) const {
  for (const auto& label : fine_labels) {
    const auto found = by_name_.find(normalised_label(label));
    if (found != by_name_.end() && found->second != kAmbiguous) return &concepts_[found->second];
  }
  return nullptr;
}

std::string normalised_label(const std::string& label) {
  std::string out;
  const auto is_word = [](unsigned char c) {
    return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  // Bytes of an apostrophe at `at`, straight or curly; 0: none.
  const auto apostrophe = [&](size_t at) -> size_t {
    if (label[at] == '\'') return 1;
    return label.compare(at, 3, "\xe2\x80\x99") == 0 ? 3 : 0;
  };
  for (size_t i = 0; i < label.size(); ++i) {
    if (const size_t mark = apostrophe(i); mark > 0) {
      const size_t next = i + mark;
      const bool is_possessive = !out.empty() && out.back() != ' ' && next < label.size() &&
                                 (label[next] == 's' || label[next] == 'S') &&
                                 (next + 1 == label.size() || !is_word(label[next + 1]));
      if (is_possessive) {
        i = next;
      } else {
        if (!out.empty() && out.back() != ' ') out += ' ';
        i = next - 1;
      }
      continue;
    }
    const char c = label[i];
    if (is_word(static_cast<unsigned char>(c))) {
      out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

}  // namespace finer::data
