#pragma once

#include "finer/eval/eval_results.h"
#include "finer/eval/inquiry.h"

#include <vector>

namespace finer {

/// Probes that are questions:
/// - knowledge: no picture, gold attributes and taxonomy to the name, once a concept;
/// - attributes: from the picture, and without one from the name, once a concept.
/// Concepts without attributes are left out; the tables say how many were asked.
std::vector<Inquiry> probe_inquiries(const EvalRecipe& recipe, const EvalSet& set);

/// Scores their answers: a section (tables) and `results.json`'s part each. The modality gap is a
/// model's score of the text-only question less that of each prompt about the picture.
void add_probe_results(const EvalRecipe& recipe, const std::vector<EvalSet>& sets,
                       EvalResults& results);

/// Exact attributes of a list, after normalisation.
struct AttributeMatch {
  double precision = 0;  // of the answer's attributes, how many the concept has
  double recall = 0;     // of the concept's attributes, how many were answered
};
AttributeMatch match_attributes(const std::string& answer, const std::vector<std::string>& gold);

}  // namespace finer
