#include "data/mixture/config.h"

#include "data/mixture/config_fields.h"
#include "finer/core/config_io.h"
#include "finer/core/near_miss.h"
#include "finer/core/quote.h"

#include <filesystem>
#include <set>

namespace finer::data {

namespace {

Describe describe_mixture(MixtureConfig& config) {
  return [&config](FieldVisitor& v) { describe(v, config); };
}

std::string item_path(const char* list, size_t i) {
  return std::string(list) + "[" + std::to_string(i) + "]";
}

bool is_inside(const std::string& folder) {
  const std::filesystem::path path(folder);
  if (path.is_absolute()) return false;
  for (const auto& part : path) {
    if (part == "..") return false;
  }
  return folder.find('\0') == std::string::npos;
}

void check_rounds(ConfigDocument& document, const MixtureConfig& config) {
  const bool is_custom = config.kind == "custom";
  if (is_custom && config.rounds.empty()) {
    document.add_fault("rounds", "found none; kind custom needs at least one");
  }
  if (!is_custom && !config.rounds.empty()) {
    document.add_fault("rounds", "kind " + config.kind +
                                     " has rounds of its own; expected kind: custom or no rounds");
  }
  std::set<std::string> seen;
  bool has_certain = false;
  for (size_t i = 0; i < config.rounds.size(); ++i) {
    const auto& round = config.rounds[i];
    has_certain = has_certain || round.probability >= 1;
    if (!seen.insert(round.round).second) {
      document.add_fault(item_path("rounds", i), round.round + " is there twice; expected once");
    }
  }
  if (!config.rounds.empty() && !has_certain) {
    document.add_fault("rounds",
                       "all have a probability below 1, so a sample may have no question; expected "
                       "one with probability 1");
  }
}

void check_sets(ConfigDocument& document, const MixtureConfig& config) {
  std::vector<std::string> keys;
  for (size_t i = 0; i < config.sets.size(); ++i) {
    const auto& set = config.sets[i];
    if (std::find(keys.begin(), keys.end(), set.key) != keys.end()) {
      document.add_fault(item_path("sets", i) + ".key",
                         quote(set.key) + " is there twice; expected another name for each set");
    }
    keys.push_back(set.key);
    if (!is_inside(set.image_prefix)) {
      document.add_fault(
          item_path("sets", i) + ".image_prefix",
          quote(set.image_prefix) + " leads out of the images folder; expected a relative folder");
    }
  }
  const auto is_held = [&](const std::string& key) {
    return std::find(config.hold_out.begin(), config.hold_out.end(), key) != config.hold_out.end();
  };
  for (size_t i = 0; i < config.hold_out.size(); ++i) {
    if (std::find(keys.begin(), keys.end(), config.hold_out[i]) != keys.end()) continue;
    document.add_fault(item_path("hold_out", i),
                       quote(config.hold_out[i]) +
                           " is no key of sets (list the set with its records, so that its "
                           "pictures and names can be looked for)" +
                           did_you_mean(config.hold_out[i], keys));
  }
  if (!keys.empty() && std::all_of(keys.begin(), keys.end(), is_held)) {
    document.add_fault("hold_out", "every set is held out; expected one that is not");
  }
  const auto rounds = mixture_rounds(config);
  const bool has_attributes = std::any_of(
      rounds.begin(), rounds.end(), [](const RoundConfig& r) { return r.round == "attributes"; });
  if (!has_attributes && !config.only_with_attributes) return;
  for (size_t i = 0; i < config.sets.size(); ++i) {
    if (is_held(config.sets[i].key) || !config.sets[i].attributes.empty()) continue;
    document.add_fault(
        item_path("sets", i) + ".attributes",
        "found none; " + (has_attributes ? "kind " + config.kind + " asks for attributes"
                                         : std::string("only_with_attributes needs them")));
  }
}

void check_output(ConfigDocument& document, const MixtureConfig& config) {
  if (config.output.empty()) return;  // said by its rule
  const auto extension = std::filesystem::path(config.output).extension();
  if (extension != ".json" && extension != ".jsonl") {
    document.add_fault("output", quote(config.output) + " ends with neither .json nor .jsonl");
  }
}

}  // namespace

MixtureConfig load_mixture_config(const std::string& file,
                                  const std::vector<std::string>& overrides) {
  MixtureConfig config;
  auto document = file.empty() ? ConfigDocument::from_overrides(overrides)
                               : ConfigDocument::load(file, overrides);
  document.read(describe_mixture(config));
  if (document.is_sound("rounds") && document.is_sound("kind")) check_rounds(document, config);
  if (document.is_sound("sets") && document.is_sound("hold_out") && document.is_sound("kind")) {
    check_sets(document, config);
  }
  check_output(document, config);
  document.throw_faults();
  return config;
}

std::vector<RoundConfig> mixture_rounds(const MixtureConfig& config) {
  if (config.kind == "custom") return config.rounds;
  if (config.kind == "direct") return {{"fine"}};
  if (config.kind == "no-answer") return {{"coarse"}, {"attributes"}};
  if (config.kind == "name-first") return {{"coarse"}, {"fine"}, {"attributes"}};
  return {{"coarse"}, {"attributes"}, {"fine"}};
}

std::string explain_mixture() {
  MixtureConfig config;
  std::string text;
  for (const KeyInfo& key : explain_config(describe_mixture(config))) {
    text += key.path + "  (" + key.type;
    if (!key.range.empty()) text += ", " + key.range;
    if (!key.is_section) {
      text += key.default_value == "required" ? "; required" : "; default " + key.default_value;
    }
    text += ")\n    " + key.meaning + "\n";
  }
  return text;
}

std::string mixture_to_yaml(const MixtureConfig& config) {
  MixtureConfig copy = config;
  return write_config(describe_mixture(copy));
}

}  // namespace finer::data
