#pragma once

#include "finer/eval/config.h"
#include "finer/eval/eval_set.h"
#include "finer/eval/prompts.h"
#include "finer/eval/session.h"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace finer {

/// What one model is asked about one set in one way: the questions of a prompt, or of a probe.
struct Inquiry {
  std::string name;  // the prompt's, or "probe.knowledge" and such: part of the files' names
  std::vector<PromptPlan> plans;
  std::vector<size_t> places;  // of EvalSet::records
  int64_t max_new_tokens = 64;
  bool with_pictures = true;
  bool ranks_names = false;  // closed-set scoring
};

/// A prompt of the recipe about a set's chosen records.
Inquiry prompt_inquiry(const EvalRecipe& recipe, const EvalSet& set,
                       const EvalPromptConfig& prompt);

/// A model of the recipe, loaded when the first question needs it.
class OpenModel {
 public:
  OpenModel(const EvalModelConfig& config, const EvalRecipe& recipe);
  const std::string& name() const { return config_.name; }
  /// What its answers depend on (answer_source.h).
  const std::map<std::string, std::string>& settings() const { return settings_; }
  const Session& session();
  Generator& generator();

 private:
  const EvalModelConfig& config_;
  const EvalRecipe& recipe_;
  std::map<std::string, std::string> settings_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<Generator> generator_;
};

/// Asks what is not answered yet, and appends it to the predictions files.
/// returns  false: stopped
bool answer_missing(const EvalRecipe& recipe, OpenModel& model, const EvalSet& set,
                    const Inquiry& inquiry, const std::function<bool()>& stop);

}  // namespace finer
