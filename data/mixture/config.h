#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace finer::data {

/// One fine-grained set: its unified records and the attributes of its concepts.
struct MixtureSet {
  std::string key;                      // "cub-200-2011", or any other name
  std::string records;                  // unified-KEY-train-combined.jsonl
  std::vector<std::string> attributes;  // files of concept attributes
  std::string image_prefix;             // put before each picture's path, with a slash between
  std::string spread = "auto";          // what the cap is spread evenly over: auto | fine |
                                        // superordinate
};

/// One question and its answer.
struct RoundConfig {
  std::string round;         // superordinate | coarse | attributes | fine
  double probability = 1.0;  // share of the samples that have this round
};

struct MixtureConfig {
  std::string kind = "attr-seek";   // attr-seek | direct | no-answer | name-first | custom
  std::vector<RoundConfig> rounds;  // of kind custom, in their order
  bool shuffle_rounds = false;
  std::vector<MixtureSet> sets;
  std::vector<std::string> hold_out;  // keys of sets that must not be in the output
  bool strict_hold_out = false;
  int64_t cap = 2500;                         // pictures a set; 0: all
  int64_t repeats = 1;                        // samples a picture
  std::string attribute_detail = "required";  // required | required+likely | first-N
  bool only_with_attributes = false;
  std::string image_mark = "random";  // random | before | after
  std::string templates;              // a file of wordings; empty: the program's own
  std::string mix;                    // LLaVA's own mixture, appended; empty: none
  std::string output;                 // .json or .jsonl
  uint64_t seed = 0;
};

/// A recipe file (empty: none) and `key=value` texts over it, checked in itself; no file that it
/// names is opened. Throws: RecipeError with all faults, one a line.
MixtureConfig load_mixture_config(const std::string& file,
                                  const std::vector<std::string>& overrides);

/// The rounds that the kind stands for, or those of kind custom.
std::vector<RoundConfig> mixture_rounds(const MixtureConfig& config);

/// All keys with type, default, range and meaning, one a line.
std::string explain_mixture();

/// The recipe as YAML: loads to the same recipe.
std::string mixture_to_yaml(const MixtureConfig& config);

}  // namespace finer::data
