#pragma once

#include "finer/model/config.h"

#include <cstdint>
#include <string>
#include <vector>

namespace finer {

/// One model that is asked. Its parts as in a training recipe's `model:`.
struct EvalModelConfig {
  std::string name;
  ModelConfig base;
  std::string adapter;               // PEFT directory, run, or checkpoint; empty: the base alone
  std::vector<std::string> prompts;  // names of the prompts it is asked; empty: all
};

/// One set of unified records.
struct EvalSetConfig {
  std::string name;
  std::string records;                  // unified-KEY-{train|test}-combined.jsonl
  std::string images;                   // root the records' img_path is relative to
  std::vector<std::string> attributes;  // concept attribute files
};

/// One round of a conversation: what it asks for, and how.
struct EvalTurnConfig {
  std::string ask;      // superordinate | coarse | attributes | fine
  std::string wording;  // may hold {superordinate} {coarse} {attributes}
  std::string
      keep_after;  // later questions repeat what follows this text in the answer; empty: all
};

/// A worked case that is shown before the question (few-shot).
struct EvalExampleConfig {
  std::string level;  // high_coarse | coarse | fine
  std::string question;
  std::string answer;
};

struct EvalPromptConfig {
  std::string name;
  std::string kind = "direct";   // direct | cot | cot_few | attr_seek | turns
  std::string coarser = "gold";  // gold | predicted
  // Wordings of the name question, a level each; empty: the program's own.
  std::string superordinate, coarse, fine;
  std::string attributes;                   // attr_seek: wording of the first turn
  std::vector<EvalExampleConfig> examples;  // cot_few
  std::vector<EvalTurnConfig> turns;        // turns
  int64_t max_new_tokens = 0;               // a turn; 0: generate.max_new_tokens
};

struct EvalSubsetConfig {
  int64_t limit = 0;  // records a set; 0: all
  uint64_t seed = 0;  // which ones
};

struct EvalGenerateConfig {
  int64_t max_new_tokens = 64;
  int64_t batch = 32;        // conversations under way at a time
  int64_t cache_tokens = 0;  // 0: chosen from free memory
  double temperature = 0;    // 0: greedy
  double top_p = 1;
  uint64_t seed = 0;
  bool reuses_prefixes = true;
};

/// A difference that the report shows: model.prompt less other_model.other_prompt.
struct EvalCompareConfig {
  std::string model, prompt;
  std::string other_model, other_prompt;
};

struct EvalScoringConfig {
  bool closed_set = false;        // likelihood of every class name, beside free text
  std::string draw_by = "class";  // class | sample: what the bootstrap draws
  int64_t resamples = 10000;
  uint64_t seed = 0;
  bool gallery = true;  // pictures in report.html
};

/// A training run whose loss is drawn in the report.
struct EvalRunConfig {
  std::string name;
  std::string run;  // its folder: metrics.jsonl is read
};

/// Words and curves of report.html beside the figures.
struct EvalReportConfig {
  std::string title;  // empty: the output folder's name
  std::string lead;   // empty: how many models and sets
  std::vector<EvalRunConfig> runs;
  std::vector<std::string> caveats;
};

struct EvalKnowledgeConfig {
  std::string wording;  // {superordinate} {coarse} {attributes}; empty: the program's own
};

struct EvalAttributesConfig {
  std::string image_wording;  // {superordinate} {coarse}
  std::string name_wording;   // {fine}
};

struct EvalLinearConfig {
  std::vector<std::string> taps = {"vision:-2", "projector"};  // vision:N | projector | language:K
  std::string fit_records;                                     // what the head learns from
  std::string test_records;                                    // what it is measured on
  std::string images;
  std::string level = "fine";
  std::string pool = "mean";    // mean | flat
  std::string head = "linear";  // linear | mlp
  int64_t hidden = 512;         // of the MLP
  int64_t epochs = 10;
  int64_t batch = 64;
  double lr = 1e-3;
  double weight_decay = 1e-4;
  uint64_t seed = 0;
};

struct EvalProbesConfig {
  EvalKnowledgeConfig knowledge;
  bool has_knowledge = false;
  EvalAttributesConfig attributes;
  bool has_attributes = false;
  std::vector<EvalLinearConfig> linear;
};

/// An evaluation recipe. Keys are the field names.
struct EvalRecipe {
  std::vector<EvalModelConfig> models;
  std::vector<EvalSetConfig> sets;
  std::vector<std::string> levels = {"high_coarse", "coarse", "fine"};
  std::vector<EvalPromptConfig> prompts;
  EvalSubsetConfig subset;
  EvalGenerateConfig generate;
  EvalScoringConfig scoring;
  std::vector<EvalCompareConfig> compare;  // empty: every two models asked by the same prompt
  EvalProbesConfig probes;
  EvalReportConfig report;
  std::string conversation;  // empty: as the adapter's recipe, else vicuna_v1
  std::string image_aspect;  // pad | crop; empty: as the adapter's recipe, else pad
  std::string output;
  std::string device = "auto";
  int64_t threads = 0;  // 0: all cores
  int64_t workers = 2;  // threads that decode pictures ahead
};

/// `eval:` of a training recipe: measured on held-out material while it trains.
struct TrainEvalConfig {
  int64_t every_steps = 100;  // and at the end
  std::string loss_data;      // LLaVA conversations whose loss is taken; empty: no loss
  std::string loss_images;
  std::string records;  // unified records whose answers are scored; empty: no scores
  std::string images;
  std::vector<std::string> attributes;
  std::vector<std::string> levels = {"fine"};
  std::vector<EvalPromptConfig> prompts;  // empty: direct
  int64_t limit = 128;                    // records, and conversations of loss_data; 0: all
  uint64_t seed = 0;                      // which ones
  int64_t max_new_tokens = 32;
  int64_t batch = 32;
  std::string best_by;   // a metric's name; empty: loss where there is one, else the first em
  int64_t patience = 0;  // evaluations without a better one that end the run; 0: never
};

}  // namespace finer
