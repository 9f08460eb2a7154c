#pragma once

#include "finer/eval/config.h"
#include "finer/eval/session.h"

#include <map>
#include <string>

namespace finer {

/// What answers depend on besides the question: names and values of the model's part of
/// PredictionsFile's settings (hashes of base and adapter, dtype, conversation, picture settings).
/// Reads no weights but the adapter's. Throws: as Session, for what is not there.
std::map<std::string, std::string> model_settings(const EvalModelConfig& model,
                                                  const EvalRecipe& recipe);

/// The session of a model of the recipe.
SessionConfig session_config(const EvalModelConfig& model, const EvalRecipe& recipe);

}  // namespace finer
