#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace finer {

/// F-measures, 0..1.
struct RougeScores {
  double rouge1 = 0;  // single words
  double rouge2 = 0;  // pairs of neighbours
  double rougeL = 0;  // longest common subsequence of words
};

/// Lower case; runs of [a-z0-9] are the words, everything else parts them.
std::vector<std::string> rouge_words(std::string_view text);

/// Source: the PyPI package rouge-score 0.1.2, its default tokenizer, no stemmer.
RougeScores rouge_scores(std::string_view target, std::string_view prediction);

}  // namespace finer
