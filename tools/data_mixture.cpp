#include "tools/data_mixture.h"

#include "data/mixture/mixture.h"
#include "finer/core/console.h"
#include "finer/core/error.h"
#include "finer/core/quote.h"
#include "finer/core/scalar_text.h"
#include "tools/cli.h"

#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace finer {

namespace {

struct MixtureOptions {
  std::vector<std::string> recipe_and_overrides;
  std::vector<std::string> sets, attributes, images, hold_out;
  std::string kind, detail, templates, mix, out;
  std::string cap, repeats, seed;
  bool is_strict = false, explains = false;
};

// "KEY=VALUE" of an option that is given once a set.
std::pair<std::string, std::string> split_pair(const char* option, const std::string& text) {
  const size_t at = text.find('=');
  if (at == 0 || at == std::string::npos || at + 1 == text.size()) {
    throw Error(std::string(option) + ": found " + quote(text) + "; expected KEY=PATH");
  }
  return {text.substr(0, at), text.substr(at + 1)};
}

// The values of one key, as the items of a YAML list.
std::string values_of(const char* option, const std::vector<std::string>& pairs,
                      const std::string& key) {
  std::string items;
  for (const auto& pair : pairs) {
    const auto [its_key, value] = split_pair(option, pair);
    if (its_key == key) items += (items.empty() ? "" : ", ") + yaml_text(value);
  }
  return items;
}

void check_keys(const char* option, const std::vector<std::string>& pairs,
                const std::vector<std::string>& sets) {
  for (const auto& pair : pairs) {
    const std::string key = split_pair(option, pair).first;
    bool is_set = false;
    for (const auto& set : sets) is_set = is_set || split_pair("--set", set).first == key;
    if (!is_set) {
      throw Error(std::string(option) + ": " + quote(key) + " is no key of a --set");
    }
  }
}

// The options as overrides of a recipe.
std::vector<std::string> as_overrides(const MixtureOptions& options) {
  std::vector<std::string> overrides;
  check_keys("--attributes", options.attributes, options.sets);
  check_keys("--images", options.images, options.sets);
  std::string sets;
  for (const auto& pair : options.sets) {
    const auto [key, records] = split_pair("--set", pair);
    sets += (sets.empty() ? "" : ", ") + ("{key: " + yaml_text(key)) +
            ", records: " + yaml_text(records) + ", attributes: [" +
            values_of("--attributes", options.attributes, key) + "]";
    const std::string prefix = values_of("--images", options.images, key);
    if (!prefix.empty()) sets += ", image_prefix: " + prefix;
    sets += "}";
  }
  if (!sets.empty()) overrides.push_back("sets=[" + sets + "]");
  std::string held;
  for (const auto& key : options.hold_out) held += (held.empty() ? "" : ", ") + yaml_text(key);
  if (!held.empty()) overrides.push_back("hold_out=[" + held + "]");
  const std::pair<const char*, const std::string&> texts[] = {
      {"kind", options.kind},           {"attribute_detail", options.detail},
      {"templates", options.templates}, {"mix", options.mix},
      {"output", options.out},          {"cap", options.cap},
      {"repeats", options.repeats},     {"seed", options.seed}};
  for (const auto& [name, value] : texts) {
    if (!value.empty()) overrides.push_back(std::string(name) + "=" + value);
  }
  if (options.is_strict) overrides.emplace_back("strict_hold_out=true");
  return overrides;
}

void mixture(const MixtureOptions& options) {
  if (options.explains) {
    std::cout << data::explain_mixture() << std::flush;
    return;
  }
  std::string recipe;
  std::vector<std::string> overrides;
  for (const auto& text : options.recipe_and_overrides) {
    const bool is_recipe =
        overrides.empty() && recipe.empty() && text.find('=') == std::string::npos;
    if (is_recipe) {
      recipe = text;
    } else {
      overrides.push_back(text);
    }
  }
  for (auto& text : as_overrides(options)) overrides.push_back(std::move(text));
  if (recipe.empty() && overrides.empty()) {
    throw Error(
        "mixture: expected a recipe, or --set KEY=RECORDS and --out FILE; see finer-data "
        "mixture --help");
  }
  const auto config = data::load_mixture_config(recipe, overrides);
  const auto summary = data::write_mixture(
      config, cli::version_text(), [](const std::string& text) { console::set_status(text); });
  console::set_status("");
  for (const auto& line : data::mixture_table(summary)) console::write_line(line);
  console::write_line(config.output + ", " + summary.manifest);
}

}  // namespace

std::function<void()> add_mixture(CLI::App& app) {
  auto options = std::make_shared<MixtureOptions>();
  app.add_option("recipe", options->recipe_and_overrides,
                 "YAML recipe and key=value over it; every key: --explain");
  app.add_flag("--explain", options->explains, "print every key of a recipe");
  app.add_option("--kind", options->kind, "attr-seek, direct, no-answer, name-first or custom");
  app.add_option("--set", options->sets, "KEY=RECORDS, once a set: its unified records")
      ->allow_extra_args(false);
  app.add_option("--attributes", options->attributes, "KEY=FILE, attributes of a set's concepts")
      ->allow_extra_args(false);
  app.add_option("--images", options->images, "KEY=FOLDER, put before a set's picture paths")
      ->allow_extra_args(false);
  app.add_option("--hold-out", options->hold_out, "KEY of a set that must not be in the output")
      ->allow_extra_args(false);
  app.add_flag("--strict-hold-out", options->is_strict,
               "leave out what shares a picture or a name with a held-out set");
  app.add_option("--cap", options->cap, "pictures a set, 0: all (2500)");
  app.add_option("--repeats", options->repeats, "samples a picture (1)");
  app.add_option("--attribute-detail", options->detail, "required, required+likely or first-N");
  app.add_option("--templates", options->templates, "YAML file of wordings");
  app.add_option("--mix", options->mix, "LLaVA conversations to append");
  app.add_option("--seed", options->seed, "seed of all draws (0)");
  app.add_option("--out", options->out, "file to write: .json or .jsonl");
  return [options] { mixture(*options); };
}

}  // namespace finer
