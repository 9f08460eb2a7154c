#pragma once

#include "data/attributes.h"
#include "data/mixture/config.h"
#include "data/mixture/templates.h"
#include "data/unified.h"

#include <cstdint>
#include <string>
#include <vector>

namespace finer::data {

/// The seed of one record's draws: a function of the mixture's seed, the set's key, the class and
/// the picture's path, so that no other record has a say in it.
uint64_t class_seed(uint64_t seed, const std::string& set_key, const std::string& class_key);
uint64_t record_seed(uint64_t class_seed, const std::string& img_path);

/// What tells classes of a set apart: all fine labels.
std::string class_key(const UnifiedRecord& record);
/// The same for a reader: "Family / Variant".
std::string class_name(const UnifiedRecord& record);

/// Turns records into conversations, by the recipe's rounds and the wordings.
///
/// Each choice of a sample (label, wording, order, place of the mark) has a draw of its own: more
/// wordings in one list change no other choice, and two kinds of mixture draw the same labels.
class ConversationWriter {
 public:
  /// Throws: DataError where the wordings lack a section that the rounds may need.
  ConversationWriter(const MixtureConfig& config, Templates templates);

  /// Whether a record must have coarse labels, and its class attributes.
  bool needs_coarse() const { return needs_coarse_; }
  bool needs_attributes() const { return needs_attributes_; }
  /// What is told of a concept, joined by ", "; empty: nothing is known. concept_ may be null.
  std::string attribute_text(const ConceptAttributes* concept_) const;

  /// One line of JSON, without its line end. draw_seed: record_seed() mixed with the repeat.
  /// Throws: DataError where a label cannot stand in a conversation (blank, <image>, ...).
  std::string sample(const std::string& id, const std::string& image, const UnifiedRecord& record,
                     const std::string& attributes, uint64_t draw_seed) const;

  const Templates& templates() const { return templates_; }

 private:
  struct Round {
    RoundKind kind;
    double probability;
  };
  void add_needs(const RoundWordings& wordings);
  std::vector<Round> drawn_rounds(uint64_t draw_seed) const;

  MixtureConfig config_;
  Templates templates_;
  std::vector<Round> rounds_;
  bool needs_coarse_ = false, needs_attributes_ = false;
};

}  // namespace finer::data
