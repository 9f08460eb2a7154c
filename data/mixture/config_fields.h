#pragma once

#include "data/mixture/config.h"
#include "finer/core/fields.h"

#include <algorithm>
#include <string>

namespace finer::data {

/// Letters, digits, dot, dash and underscore.
inline bool is_set_key(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '-' || c == '_';
  });
}

/// How many attributes "first-N" names; 0: it is not of that form.
inline int64_t first_count(const std::string& detail) {
  constexpr size_t kPrefix = 6, kMostDigits = 4;
  if (detail.rfind("first-", 0) != 0 || detail.size() > kPrefix + kMostDigits) return 0;
  int64_t count = 0;
  for (size_t i = kPrefix; i < detail.size(); ++i) {
    if (detail[i] < '0' || detail[i] > '9') return 0;
    count = 10 * count + (detail[i] - '0');
  }
  return count;
}

inline bool is_attribute_detail(const std::string& text) {
  return text == "required" || text == "required+likely" || first_count(text) > 0;
}

inline void describe(FieldVisitor& v, MixtureSet& c) {
  v.field("key", c.key, "name of the set: nabirds, cub-200-2011, ...", required(),
          matches("letters, digits, dots, dashes and underscores", is_set_key));
  v.field("records", c.records, "unified records, from finer-data records", required(),
          not_empty());
  v.field("attributes", c.attributes, "files of concept attributes");
  v.field("image_prefix", c.image_prefix,
          "folder put before the pictures' paths, below the images folder of the training");
  v.field("spread", c.spread,
          "labels the cap is spread evenly over; auto: superordinate for inaturalist, else fine",
          one_of("auto", "fine", "superordinate"));
}

inline void describe(FieldVisitor& v, RoundConfig& c) {
  v.field("round", c.round, "what is asked for", required(),
          one_of("superordinate", "coarse", "attributes", "fine"));
  v.field("probability", c.probability, "share of the samples that have this round", above(0),
          at_most(1));
}

inline void describe(FieldVisitor& v, MixtureConfig& c) {
  v.field("kind", c.kind,
          "attr-seek: coarse, attributes, fine; direct: fine; no-answer: coarse, attributes; "
          "name-first: coarse, fine, attributes; custom: rounds",
          one_of("attr-seek", "direct", "no-answer", "name-first", "custom"));
  v.field("rounds", c.rounds, "questions of a sample in their order, for kind custom");
  v.field("shuffle_rounds", c.shuffle_rounds, "rounds of each sample in an order of its own");
  v.field("sets", c.sets, "fine-grained sets, those held out included", required(), not_empty());
  v.field("hold_out", c.hold_out, "keys of sets that must appear nowhere in the output",
          distinct());
  v.field("strict_hold_out", c.strict_hold_out,
          "leave out what other sets share with the held-out ones, by picture and by concept name; "
          "false: shared pictures are an error, shared names are reported");
  v.field("cap", c.cap, "pictures a set, spread evenly over its classes; 0: all", between(0, 1e9));
  v.field("repeats", c.repeats, "samples a picture, each with draws of its own", between(1, 10000));
  v.field("attribute_detail", c.attribute_detail,
          "which attributes are told: required, required+likely, or the first N of these",
          matches("required, required+likely or first-N", is_attribute_detail));
  v.field("only_with_attributes", c.only_with_attributes,
          "leave out classes without attributes also where no round asks for them, so that two "
          "kinds have the same pictures");
  v.field("image_mark", c.image_mark, "where <image> stands: before or after the first question",
          one_of("random", "before", "after"));
  v.field("templates", c.templates, "YAML file of wordings; empty: the program's own");
  v.field("mix", c.mix, "LLaVA conversations that go behind the samples as they are; empty: none");
  v.field("output", c.output, "file to write: .json or .jsonl, and .manifest.json beside it",
          required(), not_empty());
  v.field("seed", c.seed, "pictures, labels, wordings and orders are drawn from it");
}

}  // namespace finer::data
