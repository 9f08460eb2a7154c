#include "data/mixture/templates.h"

#include "finer/core/error.h"
#include "finer/core/near_miss.h"
#include "finer/core/plain_text.h"
#include "finer/core/quote.h"
#include "finer/core/sha256.h"
#include "finer/core/yaml_tree.h"

#include <algorithm>

namespace finer::data {

namespace {

const std::vector<std::string> kSlotNames = {"superordinate", "coarse", "attributes", "fine"};
const std::vector<std::string> kSectionNames = {"superordinate", "coarse", "attributes", "fine",
                                                "fine_after_attributes"};
constexpr size_t kAfterAttributes = 4;

// Reads one file; messages carry its name and the line.
class TemplateReader {
 public:
  explicit TemplateReader(const std::string& name) : name_(name) {}

  [[noreturn]] void fail(const Place& place, const std::string& what) const {
    throw DataError(name_ + ":" + std::to_string(place.line) + ": " + what);
  }

  RoundWordings section(size_t number, const ConfigNode& node) const {
    const std::string& key = kSectionNames[number];
    if (node.kind != ConfigNode::Kind::kMap) {
      fail(node.place, key + ": expected the lists questions and answers");
    }
    for (const auto& entry : node.entries) {
      if (entry.key != "questions" && entry.key != "answers") {
        fail(entry.place,
             key + ": unknown key " + quote(entry.key) +
                 did_you_mean(entry.key, {std::string("questions"), std::string("answers")}));
      }
    }
    RoundWordings wordings;
    wordings.questions = list(node, key, "questions");
    wordings.answers = list(node, key, "answers");
    check(number, node);
    return wordings;
  }

 private:
  std::vector<Wording> list(const ConfigNode& node, const std::string& section,
                            const char* key) const {
    const std::string path = section + "." + key;
    const auto* entry = node.find(key);
    if (entry == nullptr) fail(node.place, path + " is missing");
    if (entry->value.kind != ConfigNode::Kind::kList || entry->value.items.empty()) {
      fail(entry->place, path + " has no wordings; expected a list of at least one");
    }
    std::vector<Wording> wordings;
    for (size_t i = 0; i < entry->value.items.size(); ++i) {
      const auto& item = entry->value.items[i];
      const std::string at = join_index(path, i);
      if (item.kind != ConfigNode::Kind::kScalar) fail(item.place, at + ": expected text");
      try {
        wordings.push_back(Wording::parse(item.text));
      } catch (const DataError& error) {
        fail(item.place, at + ": " + error.what());
      }
    }
    return wordings;
  }

  // Answers hold what was asked for; questions do not, nor what only a later round may tell.
  void check(size_t number, const ConfigNode& node) const {
    const auto own = static_cast<Wording::Slot>(std::min<size_t>(number, kSlotNames.size() - 1));
    const auto each = [&](const char* key, const auto& body) {
      const auto& items = node.find(key)->value.items;
      for (size_t i = 0; i < items.size(); ++i) {
        body(Wording::parse(items[i].text), items[i].place,
             join_index(kSectionNames[number] + "." + key, i));
      }
    };
    each("answers", [&](const Wording& wording, const Place& place, const std::string& at) {
      const std::string& name = kSlotNames[static_cast<size_t>(own)];
      if (!wording.has(own)) fail(place, at + " lacks {" + name + "}, the answer itself");
    });
    each("questions", [&](const Wording& wording, const Place& place, const std::string& at) {
      for (size_t slot = 0; slot < kSlotNames.size(); ++slot) {
        const bool is_told = slot == 2 && number == kAfterAttributes;
        const bool may = slot < static_cast<size_t>(own) && (slot != 2 || is_told);
        if (may || !wording.has(static_cast<Wording::Slot>(slot))) continue;
        fail(place,
             at + " has {" + kSlotNames[slot] + "}, which would tell the answer" +
                 (slot == 2 && number == 3 ? "; the section fine_after_attributes may have it"
                                           : ""));
      }
    });
  }

  const std::string& name_;
};

}  // namespace

Wording Wording::parse(const std::string& text) {
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) throw DataError("is empty");
  if (text.find("<image>") != std::string::npos) {
    throw DataError("has <image>; the mark is put in by the program (image_mark)");
  }
  Wording wording;
  wording.texts_.emplace_back();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '}') throw DataError("has } without {");
    if (text[i] != '{') {
      wording.texts_.back() += text[i];
      continue;
    }
    const size_t end = text.find('}', i);
    if (end == std::string::npos) throw DataError("has { without }");
    const std::string name = text.substr(i + 1, end - i - 1);
    const auto found = std::find(kSlotNames.begin(), kSlotNames.end(), name);
    if (found == kSlotNames.end()) {
      throw DataError("{" + quote(name) + "} is no placeholder" + did_you_mean(name, kSlotNames));
    }
    wording.slots_.push_back(static_cast<Slot>(found - kSlotNames.begin()));
    wording.texts_.emplace_back();
    i = end;
  }
  return wording;
}

std::string Wording::filled(const Values& values) const {
  std::string out = texts_.front();
  for (size_t i = 0; i < slots_.size(); ++i) {
    out += values[static_cast<size_t>(slots_[i])];
    out += texts_[i + 1];
  }
  return out;
}

bool Wording::has(Slot slot) const {
  return std::find(slots_.begin(), slots_.end(), slot) != slots_.end();
}

Templates Templates::load(const std::string& file) {
  if (file.empty()) return parse(kDefaultTemplates, "built-in wordings");
  std::string text;
  const std::string fault = read_small_file(file, text);
  if (!fault.empty()) throw DataError(file + ": " + fault);
  return parse(text, file);
}

Templates Templates::parse(const std::string& text, const std::string& name) {
  if (const auto bad = find_bad_text(text)) {
    throw DataError(name + ":" + std::to_string(bad->line) + ": " + bad->what);
  }
  std::vector<ConfigFault> faults;
  const ConfigNode root = parse_yaml(text, 0, faults);
  const TemplateReader reader(name);
  if (!faults.empty()) {
    const auto& first = faults.front();
    reader.fail(first.place, (first.path.empty() ? "" : first.path + ": ") + first.what);
  }
  if (root.kind != ConfigNode::Kind::kMap) {
    reader.fail({0, 1}, "found no sections; expected coarse, attributes, fine, ...");
  }
  Templates templates;
  templates.name_ = name;
  templates.sha256_ = sha256_hex(text);
  templates.size_bytes_ = text.size();
  for (const auto& entry : root.entries) {
    const auto found = std::find(kSectionNames.begin(), kSectionNames.end(), entry.key);
    if (found == kSectionNames.end()) {
      reader.fail(entry.place,
                  "unknown section " + quote(entry.key) + did_you_mean(entry.key, kSectionNames));
    }
    const auto number = static_cast<size_t>(found - kSectionNames.begin());
    templates.sections_[number] = reader.section(number, entry.value);
  }
  return templates;
}

const RoundWordings& Templates::of(RoundKind kind, bool knows_attributes) const {
  const bool is_after = kind == RoundKind::kFine && knows_attributes;
  const size_t number = is_after ? kAfterAttributes : static_cast<size_t>(kind);
  const auto& wordings = sections_[number];
  if (wordings.questions.empty()) {
    throw DataError(name_ + ": has no section " + kSectionNames[number] +
                    ", which these rounds need");
  }
  return wordings;
}

}  // namespace finer::data
