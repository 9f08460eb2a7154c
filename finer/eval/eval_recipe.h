#pragma once

#include "finer/eval/config.h"

#include <filesystem>
#include <string>
#include <vector>

namespace finer {

/// Reads an evaluation recipe: file, the files it inherits from by `base:`, then `a.b=c` overrides.
/// Throws: RecipeError with all faults, one a line, as load_recipe does.
EvalRecipe load_eval_recipe(const std::filesystem::path& file,
                            const std::vector<std::string>& overrides);

/// The resolved recipe as YAML: loads to the same recipe.
std::string eval_recipe_to_yaml(const EvalRecipe& recipe);

/// What is wrong with prompts beyond single values. key: path below the prompt (".turns[0].ask").
struct PromptFault {
  size_t prompt = 0;
  std::string key, what;
};
std::vector<PromptFault> prompt_faults(const std::vector<EvalPromptConfig>& prompts,
                                       const std::vector<std::string>& levels);

/// All keys with type, default, range and meaning, as Markdown tables or plain text (--explain).
std::string explain_eval_recipe(bool markdown);

}  // namespace finer
