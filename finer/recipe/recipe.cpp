#include "finer/recipe/recipe.h"

#include "data/config_fields.h"
#include "finer/core/config_io.h"
#include "finer/dist/config_fields.h"
#include "finer/eval/config_fields.h"
#include "finer/model/config_fields.h"
#include "finer/recipe/cross_checks.h"
#include "finer/train/config_fields.h"
#include "lora/config_fields.h"

#include <algorithm>

namespace finer {

namespace {

// auto | cpu | cuda | cuda:N
bool is_device(const std::string& text) {
  if (text == "auto" || text == "cpu" || text == "cuda") return true;
  const std::string before = "cuda:";
  if (text.compare(0, before.size(), before) != 0) return false;
  const std::string number = text.substr(before.size());
  return !number.empty() && number.size() <= 3 && (number == "0" || number[0] != '0') &&
         std::all_of(number.begin(), number.end(), [](char c) { return c >= '0' && c <= '9'; });
}

void describe_recipe(FieldVisitor& v, Recipe& c) {
  v.field("model", c.model, "what is tuned: exactly one of llava, language, from_scratch");
  v.field("train", c.train, "which parts train, and how");
  // Written out only where an adapter exists: a resolved recipe holds no keys that do nothing.
  bool has_adapter = c.train.language == "lora" || c.train.vision == "lora";
  v.optional_field("lora", c.lora, has_adapter, "low-rank updates of the parts that train as lora");
  v.field("data", c.data, "what it is tuned on");
  v.field("batch", c.batch, "how samples become steps and device passes");
  v.field("optim", c.optim, "optimizer and learning rates");
  v.field("loss", c.loss, "cross entropy over target tokens");
  v.field("checkpoint", c.checkpoint, "when the state is saved");
  v.field("log", c.log, "what is shown and written while it runs");
  v.optional_field("eval", c.eval, c.has_eval,
                   "held-out loss and scores while it trains; the best step is kept in RUN/best");
  v.field("dist", c.dist, "runs of several ranks (docs/cluster.md)");
  v.field("load", c.load, "how the base model is read");
  v.field("output", c.output, "run directory", required(), not_empty());
  v.field("device", c.device, "where it runs", matches("auto, cpu, cuda or cuda:N", is_device));
  v.field("threads", c.threads, "CPU threads; 0: all cores", between(0, 4096));
  v.field("seed", c.seed, "of everything drawn: order, dropout, new weights");
}

Describe describer(Recipe& recipe) {
  return [&recipe](FieldVisitor& v) { describe_recipe(v, recipe); };
}

// A cell of a Markdown table.
std::string cell(std::string text) {
  for (size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2)
    text.insert(at, "\\");
  return text;
}

std::string code(const std::string& text) { return text.empty() ? "" : "`" + text + "`"; }

// A default in words stays words; a value is code.
std::string default_cell(const KeyInfo& key) {
  return key.default_value == "required" ? "required" : code(cell(key.default_value));
}

const char* const kRules =
    R"(A recipe is a YAML file of the keys below. Paths in it are relative to the working directory.

- A key that is not listed, a value of another type and a value out of range are errors. All of them are
  reported at once, a line each: `FILE:LINE: key: what was found; what was expected`.
- `base: FILE` inherits from one other file, found relative to the file that names it. Sections are merged key by
  key, lists and values replace, and `null` takes back what the inherited file says.
- `finer-train recipe.yaml optim.lr=1e-4 data.sets.0.path=mix.json 'lora.targets=[q_proj, v_proj]'`
  overrides by dotted path. A value that begins with `[`, `{` or a quote is read as YAML, any other is taken as it
  stands. A key with dots is quoted: `'lora.rank_pattern."language_model.**.q_proj"=8'`.
- Whole numbers are decimal digits, numbers may have a point and an exponent, true and false are the only
  switches. Text that looks like a number stands in quotes. There are no anchors, aliases, tags or merge keys.
- Keys that cannot change anything are errors too where the recipe itself gives them (a `lora` section while
  nothing trains as lora); inherited ones are ignored, so that arms of an experiment can share a base.
)";

std::string explain_markdown(const std::vector<KeyInfo>& keys) {
  std::string text =
      "# Recipes: every key\n\nWritten by the program from the description that also reads recipes "
      "(`explain_recipe`);\na test keeps this file equal to it. `[]` stands for an item of a list, "
      "by its "
      "number from 0.\n\n";
  text += kRules;
  const std::string head = "\n| key | type | default | range | meaning |\n|---|---|---|---|---|\n";
  const auto add_row = [&](const KeyInfo& key) {
    text += "| `" + key.path + "` | " + key.type + " | " + default_cell(key) + " | " +
            cell(key.range) + " | " + cell(key.meaning) + " |\n";
  };
  text += "\n## The run\n" + head;
  for (const KeyInfo& key : keys) {
    if (!key.is_section && key.path.find('.') == std::string::npos) add_row(key);
  }
  // A table for each section; a list of sections is a row and has its rows below it.
  for (const KeyInfo& section : keys) {
    if (!section.is_section) continue;
    text += "\n## " + section.path + "\n\n" + cell(section.meaning) + "\n" + head;
    for (const KeyInfo& key : keys) {
      if (key.is_section || key.path.compare(0, section.path.size() + 1, section.path + ".") != 0)
        continue;
      const bool is_deeper = std::any_of(keys.begin(), keys.end(), [&](const KeyInfo& inner) {
        return inner.is_section && inner.path.size() > section.path.size() &&
               key.path.compare(0, inner.path.size() + 1, inner.path + ".") == 0;
      });
      if (!is_deeper) add_row(key);
    }
  }
  return text;
}

std::string explain_plain(const std::vector<KeyInfo>& keys) {
  std::string run, sections;
  for (const KeyInfo& key : keys) {
    if (key.is_section) {
      sections += "\n" + key.path + ": " + key.meaning + "\n";
      continue;
    }
    std::string& text = key.path.find('.') == std::string::npos ? run : sections;
    text += "  " + key.path + "  (" + key.type + (key.range.empty() ? "" : ", " + key.range) +
            "; " + (key.default_value == "required" ? "" : "default ") + key.default_value +
            ")\n      " + key.meaning + "\n";
  }
  return "the run:\n" + run + sections;
}

}  // namespace

Recipe load_recipe(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  Recipe recipe;
  ConfigDocument document = ConfigDocument::load(file, overrides);
  document.read(describer(recipe));
  cross_check(document, recipe);
  document.throw_faults();
  return recipe;
}

std::string recipe_to_yaml(const Recipe& recipe) {
  Recipe copy = recipe;
  return "# A resolved recipe of finer: every key of the run, with inherited files, overrides and "
         "defaults put in.\n"
         "# This file alone repeats the run: finer-train FILE\n" +
         write_config(describer(copy));
}

std::string explain_recipe(bool markdown) {
  Recipe defaults;
  const std::vector<KeyInfo> keys = explain_config(describer(defaults));
  return markdown ? explain_markdown(keys) : explain_plain(keys);
}

}  // namespace finer
