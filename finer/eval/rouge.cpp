#include "finer/eval/rouge.h"

#include "finer/eval/unicode.h"

#include <algorithm>
#include <map>

namespace finer {
namespace {

double rouge_f1(size_t num_same, size_t num_target, size_t num_prediction) {
  if (num_same == 0) return 0;
  const double precision = static_cast<double>(num_same) / static_cast<double>(num_prediction);
  const double recall = static_cast<double>(num_same) / static_cast<double>(num_target);
  return 2 * precision * recall / (precision + recall);
}

using Words = std::vector<std::string>;

double ngram_f1(const Words& target, const Words& prediction, size_t n) {
  const auto counts = [n](const Words& words) {
    std::map<Words, size_t> out;
    for (size_t i = 0; i + n <= words.size(); ++i) {
      const auto first = words.begin() + static_cast<std::ptrdiff_t>(i);
      ++out[Words(first, first + static_cast<std::ptrdiff_t>(n))];
    }
    return out;
  };
  const auto in_target = counts(target), in_prediction = counts(prediction);
  size_t num_same = 0;
  for (const auto& [gram, count] : in_target) {
    const auto found = in_prediction.find(gram);
    if (found != in_prediction.end()) num_same += std::min(count, found->second);
  }
  const auto num_grams = [n](const Words& words) {
    return words.size() < n ? 0 : words.size() - n + 1;
  };
  return rouge_f1(num_same, num_grams(target), num_grams(prediction));
}

size_t common_subsequence(const Words& a, const Words& b) {
  std::vector<size_t> row(b.size() + 1);  // longest with all of a so far and the first j of b
  for (const auto& word : a) {
    size_t diagonal = 0;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = word == b[j - 1] ? diagonal + 1 : std::max(above, row[j - 1]);
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

std::vector<std::string> rouge_words(std::string_view text) {
  Words words;
  bool is_inside = false;
  for (const char c : lower_case(text)) {
    const bool is_kept = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (is_kept && !is_inside) words.emplace_back();
    if (is_kept) words.back() += c;
    is_inside = is_kept;
  }
  return words;
}

RougeScores rouge_scores(std::string_view target, std::string_view prediction) {
  const auto a = rouge_words(target), b = rouge_words(prediction);
  return {ngram_f1(a, b, 1), ngram_f1(a, b, 2),
          rouge_f1(common_subsequence(a, b), a.size(), b.size())};
}

}  // namespace finer
