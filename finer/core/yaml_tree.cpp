#include "finer/core/yaml_tree.h"

#include "finer/core/quote.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <sstream>
#include <utility>

namespace finer {

namespace {

constexpr size_t kMaxKeys = 2000;  // of one mapping; keeps look-ups by walking cheap

const std::string kAliasFault = "found an alias (*name); recipes have none: write the value out";

struct SecondDocument {};

// Builds a ConfigNode from yaml-cpp's events: its own Node type would drop keys given twice and
// marks.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(int layer, std::vector<ConfigFault>& faults) : layer_(layer), faults_(faults) {}

  ConfigNode take_root() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (!has_document_) {
      has_document_ = true;
      return;
    }
    faults_.push_back({place(mark), "", "found a second document; expected one"});
    throw SecondDocument{};
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    check_properties(mark, "", anchor);
    ConfigNode node;
    node.place = place(mark);
    attach(std::move(node));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    faults_.push_back({place(mark), path_here(), kAliasFault});
    ConfigNode node;
    node.kind = ConfigNode::Kind::kFaulty;
    node.place = place(mark);
    attach(std::move(node));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    ConfigNode node;
    node.kind =
        check_properties(mark, tag, anchor) ? ConfigNode::Kind::kScalar : ConfigNode::Kind::kFaulty;
    node.is_quoted = tag == "!";
    node.text = value;
    node.place = place(mark);
    attach(std::move(node));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(ConfigNode::Kind::kList, mark, tag, anchor);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(ConfigNode::Kind::kMap, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

 private:
  // A list or mapping that is still being read.
  struct Open {
    ConfigNode node;
    bool is_sound = true;  // no tag in front
    bool has_key = false;  // of a mapping: a key was read, its value comes next
    bool drops = false;    // that key is faulty, so its value goes nowhere
    std::string key;
    Place key_place;
    std::string path;
  };

  Place place(const YAML::Mark& mark) const { return {layer_, std::max(mark.line, 0) + 1}; }

  std::string path_here() const {
    if (open_.empty()) return "";
    const Open& top = open_.back();
    if (top.node.kind == ConfigNode::Kind::kList) {
      return join_index(top.path, top.node.items.size());
    }
    return top.has_key ? join_key(top.path, top.key) : top.path;
  }

  void add_fault(Place where, std::string what) {
    faults_.push_back({where, path_here(), "found " + std::move(what)});
  }

  bool check_properties(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != 0) {
      add_fault(place(mark), "an anchor (&name); recipes have none: use base: to share values");
    }
    // yaml-cpp says "?" for plain and "!" for quoted values without a tag.
    if (tag.empty() || tag == "?" || tag == "!") return true;
    add_fault(place(mark), "the tag " + quote(tag, 60) + "; recipes have no tags: leave it out");
    return false;
  }

  void open(ConfigNode::Kind kind, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor) {
    Open next;
    next.is_sound = check_properties(mark, tag, anchor);
    next.path = path_here();
    next.node.kind = kind;
    next.node.place = place(mark);
    open_.push_back(std::move(next));
  }

  void close() {
    Open done = std::move(open_.back());
    open_.pop_back();
    if (!done.is_sound) {
      done.node = ConfigNode{.kind = ConfigNode::Kind::kFaulty, .place = done.node.place};
    }
    attach(std::move(done.node));
  }

  void attach(ConfigNode node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& top = open_.back();
    if (top.node.kind == ConfigNode::Kind::kList) {
      top.node.items.push_back(std::move(node));
    } else if (!top.has_key) {
      take_key(top, node);
    } else {
      top.has_key = false;
      if (std::exchange(top.drops, false)) return;
      // An empty value is marked where the next token stands, which may be lines below.
      if (node.kind == ConfigNode::Kind::kNull) node.place = top.key_place;
      top.node.entries.push_back({top.key, top.key_place, std::move(node)});
    }
  }

  void take_key(Open& top, const ConfigNode& node) {
    top.drops = true;
    top.key = node.text;
    top.key_place = node.place;
    if (node.kind == ConfigNode::Kind::kFaulty) {
      // reported where it was read
    } else if (node.kind != ConfigNode::Kind::kScalar) {
      add_fault(node.place, "a key that is no text; expected key: value");
    } else if (const auto* first = top.node.find(node.text)) {
      top.has_key = true;  // so that the fault names the key
      add_fault(node.place,
                "a key that line " + std::to_string(first->place.line) + " already has");
    } else if (node.text == "<<" && !node.is_quoted) {
      add_fault(node.place, "a merge key (<<); recipes have none: use base: to share values");
    } else if (top.node.entries.size() == kMaxKeys) {
      add_fault(node.place, "more than " + std::to_string(kMaxKeys) + " keys in one mapping");
    } else {
      top.drops = top.node.entries.size() > kMaxKeys;
    }
    top.has_key = true;
  }

  int layer_;
  std::vector<ConfigFault>& faults_;
  ConfigNode root_;
  std::vector<Open> open_;
  bool has_document_ = false;
};

}  // namespace

const ConfigNode::Entry* ConfigNode::find(std::string_view key) const {
  for (const Entry& entry : entries) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

ConfigNode::Entry* ConfigNode::find(std::string_view key) {
  return const_cast<Entry*>(std::as_const(*this).find(key));
}

std::string join_key(const std::string& path, const std::string& key) {
  const bool is_plain = !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '*';
  });
  return path + (path.empty() ? "" : ".") + (is_plain ? key : quote(key, 60));
}

std::string join_index(const std::string& path, size_t index) {
  return path + "[" + std::to_string(index) + "]";
}

void merge_mapping(ConfigNode& into, ConfigNode from) {
  for (auto& entry : from.entries) {
    auto* old = into.find(entry.key);
    if (old == nullptr) {
      into.entries.push_back(std::move(entry));
    } else if (entry.value.kind == ConfigNode::Kind::kNull) {
      into.entries.erase(into.entries.begin() + (old - into.entries.data()));
    } else if (entry.value.kind == ConfigNode::Kind::kMap &&
               old->value.kind == ConfigNode::Kind::kMap) {
      old->place = entry.place;
      old->value.place = entry.value.place;
      merge_mapping(old->value, std::move(entry.value));
    } else {
      *old = std::move(entry);
    }
  }
}

ConfigNode parse_yaml(const std::string& text, int layer, std::vector<ConfigFault>& faults) {
  TreeBuilder builder(layer, faults);
  std::istringstream stream(text);
  try {
    YAML::Parser parser(stream);
    if (parser.HandleNextDocument(builder)) parser.HandleNextDocument(builder);
  } catch (const SecondDocument&) {
    // reported; the first document is whole
  } catch (const YAML::Exception& error) {
    const Place place{layer, std::max(error.mark.line, 0) + 1};
    const bool is_alias = error.msg.rfind(YAML::ErrorMsg::UNKNOWN_ANCHOR, 0) == 0;
    std::string reason = error.msg;  // may hold a byte of the file
    std::replace_if(
        reason.begin(), reason.end(), [](char c) { return c < 0x20 || c >= 0x7f; }, '?');
    faults.push_back({place, "", is_alias ? kAliasFault : "not readable as YAML: " + reason});
    ConfigNode faulty;
    faulty.kind = ConfigNode::Kind::kFaulty;
    faulty.place = place;
    return faulty;
  }
  return builder.take_root();
}

}  // namespace finer
