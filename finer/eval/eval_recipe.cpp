#include "finer/eval/eval_recipe.h"

#include "finer/core/config_io.h"
#include "finer/core/error.h"
#include "finer/core/near_miss.h"
#include "finer/core/quote.h"
#include "finer/eval/config_fields.h"
#include "finer/eval/prompts.h"
#include "finer/eval/tap_features.h"

#include <algorithm>
#include <set>

namespace finer {

namespace {

// auto | cpu | cuda | cuda:N
bool is_place_to_run(const std::string& text) {
  if (text == "auto" || text == "cpu" || text == "cuda") return true;
  if (text.rfind("cuda:", 0) != 0 || text.size() < 6 || text.size() > 8) return false;
  return text.find_first_not_of("0123456789", 5) == std::string::npos;
}

void describe_recipe(FieldVisitor& v, EvalRecipe& c) {
  v.field("models", c.models, "who is asked", required(), not_empty());
  v.field("sets", c.sets, "what they are asked about");
  v.field("levels", c.levels, "that are asked and scored: high_coarse, coarse, fine", not_empty(),
          distinct(), one_of("high_coarse", "coarse", "fine"));
  v.field("prompts", c.prompts, "how they are asked; empty: the direct question");
  v.field("subset", c.subset, "of each set's records");
  v.field("generate", c.generate, "how answers are made");
  v.field("scoring", c.scoring, "what is reported beside EM and F1");
  v.field("compare", c.compare,
          "differences that are reported; empty: of every two models asked by the same prompt");
  v.field("probes", c.probes, "what a model knows and where it is lost");
  v.field("report", c.report, "words and curves of report.html");
  v.field("conversation", c.conversation,
          "template of the questions; empty: as the adapter's own recipe, else vicuna_v1");
  v.field("image_aspect", c.image_aspect,
          "how pictures become square; empty: as the adapter's own recipe, else pad",
          one_of("", "pad", "crop"));
  v.field("output", c.output, "folder of predictions, tables and report", required(), not_empty());
  v.field("device", c.device, "where it runs",
          matches("auto, cpu, cuda or cuda:N", is_place_to_run));
  v.field("threads", c.threads, "CPU threads; 0: all cores", between(0, 4096));
  v.field("workers", c.workers, "threads that decode pictures ahead; their number changes nothing",
          between(1, 256));
}

Describe describer(EvalRecipe& recipe) {
  return [&recipe](FieldVisitor& v) { describe_recipe(v, recipe); };
}

std::string item(const std::string& list, size_t index) {
  return list + "[" + std::to_string(index) + "]";
}

template <class T>
void check_names(ConfigDocument& document, const std::string& list, const std::vector<T>& items) {
  std::set<std::string> seen;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!items[i].name.empty() && !seen.insert(items[i].name).second) {
      document.add_fault(item(list, i) + ".name", "found " + quote(items[i].name) +
                                                      " a second time; expected each name once");
    }
  }
}

void check_models(ConfigDocument& document, EvalRecipe& r) {
  if (r.prompts.empty()) r.prompts = {EvalPromptConfig{.name = "direct"}};
  std::vector<std::string> prompt_names;
  for (const auto& prompt : r.prompts) prompt_names.push_back(prompt.name);
  for (size_t i = 0; i < r.models.size(); ++i) {
    const auto& base = r.models[i].base;
    const std::string at = item("models", i);
    if (!document.is_sound(at)) continue;
    if (!base.llava.empty() && !base.language.empty()) {
      document.add_fault(at, "found both llava and language; expected one of them");
    } else if (base.llava.empty() && base.language.empty() && r.models[i].adapter.empty()) {
      document.add_fault(at,
                         "names no model; expected llava, language, or the adapter of a run, whose "
                         "recipe.yaml names the base");
    }
    if (!base.projector.empty() && (base.language.empty() || base.vision.empty())) {
      document.add_fault(at + ".projector",
                         "does nothing here; expected beside both language and vision");
    }
    for (size_t p = 0; p < r.models[i].prompts.size(); ++p) {
      const auto& name = r.models[i].prompts[p];
      if (std::find(prompt_names.begin(), prompt_names.end(), name) != prompt_names.end()) continue;
      document.add_fault(item(at + ".prompts", p), "found " + quote(name) + ", which is no prompt" +
                                                       did_you_mean(name, prompt_names));
    }
  }
}

// vision:N, projector, language:K
std::string tap_fault(const std::string& text) {
  try {
    parse_tap(text);
    return "";
  } catch (const RecipeError& error) {
    return error.what();
  }
}

void check_comparisons(ConfigDocument& document, const EvalRecipe& r) {
  if (!document.is_sound("models") || !document.is_sound("prompts")) return;
  std::vector<std::string> models, prompts;
  for (const auto& model : r.models) models.push_back(model.name);
  for (const auto& prompt : r.prompts) prompts.push_back(prompt.name);
  for (size_t i = 0; i < r.compare.size(); ++i) {
    const auto& c = r.compare[i];
    const auto check = [&](const char* key, const std::string& name, const char* what,
                           const std::vector<std::string>& known) {
      if (name.empty() || std::find(known.begin(), known.end(), name) != known.end()) return;
      document.add_fault(item("compare", i) + "." + key, "found " + quote(name) + ", which is no " +
                                                             what + did_you_mean(name, known));
    };
    check("model", c.model, "model", models);
    check("prompt", c.prompt, "prompt", prompts);
    check("other_model", c.other_model, "model", models);
    check("other_prompt", c.other_prompt, "prompt", prompts);
  }
}

}  // namespace

std::vector<PromptFault> prompt_faults(const std::vector<EvalPromptConfig>& prompts,
                                       const std::vector<std::string>& levels) {
  std::vector<PromptFault> faults;
  std::set<std::string> names;
  const auto has_level = [&](const char* level) {
    return std::find(levels.begin(), levels.end(), level) != levels.end();
  };
  for (size_t i = 0; i < prompts.size(); ++i) {
    const auto& prompt = prompts[i];
    const auto fault = [&](const std::string& key, const std::string& what) {
      if (!what.empty()) faults.push_back({i, key, what});
    };
    const auto check_wording = [&](const std::string& key, const std::string& wording) {
      if (!wording.empty()) fault(key, wording_fault(wording));
    };
    const auto idle = [&](const char* key, bool is_given, const std::string& kind) {
      if (is_given && prompt.kind != kind)
        fault(key, "does nothing here; expected with kind " + kind + " only");
    };
    if (!names.insert(prompt.name).second) {
      fault(".name", "found " + quote(prompt.name) + " a second time; expected each name once");
    }
    if (prompt.name.rfind("probe.", 0) == 0) {
      fault(".name", "found " + quote(prompt.name) + "; names in probe. are those of the probes");
    }
    check_wording(".superordinate", prompt.superordinate);
    check_wording(".coarse", prompt.coarse);
    check_wording(".fine", prompt.fine);
    check_wording(".attributes", prompt.attributes);
    idle(".attributes", !prompt.attributes.empty(), "attr_seek");
    idle(".examples", !prompt.examples.empty(), "cot_few");
    idle(".turns", !prompt.turns.empty(), "turns");
    if (prompt.kind != "turns") {
      if (prompt.coarser == "predicted" && ((has_level("fine") && !has_level("coarse")) ||
                                            (has_level("coarse") && !has_level("high_coarse")))) {
        fault(".coarser",
              "found \"predicted\" without the level above in levels; expected all levels down to "
              "the lowest one");
      }
      continue;
    }
    const bool has_names =
        !prompt.superordinate.empty() || !prompt.coarse.empty() || !prompt.fine.empty();
    if (has_names || prompt.coarser != "gold") {
      fault(has_names ? "" : ".coarser",
            "kind turns says all in turns; expected no superordinate, coarse, fine or coarser "
            "beside it");
    }
    if (prompt.turns.empty()) {
      fault(".turns", "missing; expected the rounds of the conversation");
      continue;
    }
    std::set<std::string> asked;
    for (size_t t = 0; t < prompt.turns.size(); ++t) {
      const std::string turn = item(".turns", t);
      check_wording(turn + ".wording", prompt.turns[t].wording);
      if (!asked.insert(prompt.turns[t].ask).second) {
        fault(turn + ".ask",
              "found " + quote(prompt.turns[t].ask) + " a second time; expected each once");
      }
    }
    if (plan_prompt(prompt, levels).empty()) {
      fault(".turns", "asks for no level of levels; nothing could be scored");
    }
  }
  return faults;
}

EvalRecipe load_eval_recipe(const std::filesystem::path& file,
                            const std::vector<std::string>& overrides) {
  EvalRecipe recipe;
  ConfigDocument document = ConfigDocument::load(file, overrides);
  document.read(describer(recipe));
  check_names(document, "models", recipe.models);
  check_names(document, "sets", recipe.sets);
  check_models(document, recipe);
  std::vector<bool> is_sound;
  for (size_t i = 0; i < recipe.prompts.size(); ++i) {
    is_sound.push_back(document.is_sound("levels") && document.is_sound(item("prompts", i)));
  }
  auto checked = recipe.prompts;  // those with faults already only lend their names
  for (size_t i = 0; i < checked.size(); ++i) {
    if (!is_sound[i]) checked[i] = {.name = checked[i].name};
  }
  for (const auto& fault : prompt_faults(checked, recipe.levels)) {
    if (is_sound[fault.prompt])
      document.add_fault(item("prompts", fault.prompt) + fault.key, fault.what);
  }
  check_comparisons(document, recipe);
  constexpr size_t kMaxRuns = 8;  // as many as there are colours
  if (recipe.report.runs.size() > kMaxRuns) {
    document.add_fault("report.runs", "found " + std::to_string(recipe.report.runs.size()) +
                                          "; expected at most " + std::to_string(kMaxRuns));
  }
  const auto& probes = recipe.probes;
  if (document.is_sound("sets") && recipe.sets.empty() && probes.linear.empty()) {
    document.add_fault("sets", "is empty; expected a set, or probes.linear, which brings its own");
  }
  const auto check_wording = [&](const char* path, const std::string& wording) {
    const std::string fault = wording.empty() ? "" : wording_fault(wording);
    if (!fault.empty()) document.add_fault(path, fault);
  };
  check_wording("probes.knowledge.wording", probes.knowledge.wording);
  check_wording("probes.attributes.image_wording", probes.attributes.image_wording);
  check_wording("probes.attributes.name_wording", probes.attributes.name_wording);
  for (size_t i = 0; i < probes.linear.size(); ++i) {
    for (size_t t = 0; t < probes.linear[i].taps.size(); ++t) {
      const std::string fault = tap_fault(probes.linear[i].taps[t]);
      if (!fault.empty()) document.add_fault(item(item("probes.linear", i) + ".taps", t), fault);
    }
  }
  for (const auto& [key, is_given] : {std::pair("probes.knowledge", probes.has_knowledge),
                                      std::pair("probes.attributes", probes.has_attributes)}) {
    for (size_t i = 0; is_given && i < recipe.sets.size(); ++i) {
      if (document.is_sound("sets") && recipe.sets[i].attributes.empty()) {
        document.add_fault(key, "needs sets[" + std::to_string(i) + "].attributes, which is empty");
      }
    }
  }
  document.throw_faults();
  return recipe;
}

std::string eval_recipe_to_yaml(const EvalRecipe& recipe) {
  EvalRecipe copy = recipe;
  return "# A resolved evaluation recipe of finer: every key, with inherited files, overrides and "
         "defaults put in.\n# finer-eval FILE repeats it.\n" +
         write_config(describer(copy));
}

std::string explain_eval_recipe(bool markdown) {
  EvalRecipe defaults;
  std::string text;
  const auto row = [&](const KeyInfo& key) {
    const std::string value = key.default_value == "required" || key.default_value.empty()
                                  ? key.default_value
                                  : (markdown ? "`" + key.default_value + "`" : key.default_value);
    if (markdown) {
      text += "| `" + key.path + "` | " + key.type + " | " + value + " | " + key.range + " | " +
              key.meaning + " |\n";
    } else {
      text += "  " + key.path + "  (" + key.type + (key.range.empty() ? "" : ", " + key.range) +
              (value.empty()         ? ""
               : value == "required" ? "; required"
                                     : "; default " + value) +
              ")\n      " + key.meaning + "\n";
    }
  };
  if (markdown) text = "| key | type | default | range | meaning |\n|---|---|---|---|---|\n";
  for (const KeyInfo& key : explain_config(describer(defaults))) {
    if (key.is_section) {
      text += markdown ? "| **`" + key.path + "`** | | | | " + key.meaning + " |\n"
                       : "\n" + key.path + ": " + key.meaning + "\n";
    } else {
      row(key);
    }
  }
  return text;
}

}  // namespace finer
