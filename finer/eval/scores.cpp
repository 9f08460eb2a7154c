#include "finer/eval/scores.h"

#include "finer/core/error.h"
#include "finer/core/near_miss.h"
#include "finer/core/quote.h"
#include "finer/eval/unicode.h"
#include "finer/text/blank.h"

#include <algorithm>
#include <map>

namespace finer {
namespace {

constexpr size_t kMostAnswerWords = 20;
constexpr size_t kMostLabelWords = 10;
constexpr std::string_view kPrefix = "Answer:";
constexpr std::string_view kEndOfText = "</s>";

bool is_ascii_punctuation(char c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
         (c >= '{' && c <= '~');
}

// The words a, an and the become blanks. A word ends where letters and digits end, so "a-b" with a
// long dash has one, too.
std::string without_articles(std::string_view text) {
  std::string out, word;
  const auto end_word = [&] {
    out += word == "a" || word == "an" || word == "the" ? " " : word;
    word.clear();
  };
  while (!text.empty()) {
    const auto character = front_character(text);
    const auto bytes = text.substr(0, character.length);
    if (is_word_character(character.code)) {
      word += bytes;
    } else {
      end_word();
      out += bytes;
    }
    text.remove_prefix(character.length);
  }
  end_word();
  return out;
}

std::string joined(const std::vector<std::string_view>& words, size_t most) {
  std::string out;
  for (size_t i = 0; i < std::min(words.size(), most); ++i) {
    if (i > 0) out += ' ';
    out += words[i];
  }
  return out;
}

// Words in common, each as often as in the text that has it less often.
double word_f1(const std::vector<std::string_view>& answer,
               const std::vector<std::string_view>& label) {
  std::map<std::string_view, size_t> left;
  for (const auto word : answer) ++left[word];
  size_t num_same = 0;
  for (const auto word : label) {
    const auto found = left.find(word);
    if (found == left.end() || found->second == 0) continue;
    --found->second;
    ++num_same;
  }
  if (num_same == 0) return 0;
  const double precision = static_cast<double>(num_same) / static_cast<double>(answer.size());
  const double recall = static_cast<double>(num_same) / static_cast<double>(label.size());
  return 2 * precision * recall / (precision + recall);
}

}  // namespace

const char* level_name(Level level) {
  switch (level) {
    case Level::kHighCoarse:
      return "high_coarse";
    case Level::kCoarse:
      return "coarse";
    case Level::kFine:
      return "fine";
  }
  FINER_CHECK(false, "one of three levels");
}

Level parse_level(const std::string& name) {
  std::vector<std::string> names;
  for (const Level level : kLevels) {
    if (name == level_name(level)) return level;
    names.emplace_back(level_name(level));
  }
  throw ConfigError("level " + quote(name) + " is not known" + did_you_mean(name, names));
}

std::string answer_part(std::string_view text) {
  const size_t at = text.find(kPrefix);
  std::string part(strip(at == std::string_view::npos ? text : text.substr(at + kPrefix.size())));
  for (size_t end = part.find(kEndOfText); end != std::string::npos;
       end = part.find(kEndOfText, end)) {
    part.erase(end, kEndOfText.size());
  }
  return part;
}

std::string normalise_answer(std::string_view text) {
  std::string plain = lower_case(text);
  plain.erase(std::remove_if(plain.begin(), plain.end(), is_ascii_punctuation), plain.end());
  const std::string words = without_articles(plain);
  return joined(split_words(words), std::string::npos);
}

std::vector<std::string> gold_labels(const data::UnifiedRecord& record, Level level) {
  std::vector<std::string> labels;
  if (level == Level::kHighCoarse) labels.push_back(record.superordinate);
  if (level != Level::kFine) {
    labels.insert(labels.end(), record.coarse.begin(), record.coarse.end());
  }
  labels.insert(labels.end(), record.fine.begin(), record.fine.end());
  return labels;
}

bool has_level(const data::UnifiedRecord& record, Level level) {
  switch (level) {
    case Level::kHighCoarse:
      return !record.superordinate.empty();
    case Level::kCoarse:
      return !record.coarse.empty();
    default:
      return !record.fine.empty();
  }
}

Score score_answer(std::string_view text, const std::vector<std::string>& labels) {
  FINER_CHECK(!labels.empty(), "at least one gold label");
  const std::string answer = normalise_answer(answer_part(text));
  const auto answer_words = split_words(answer);
  const std::string beginning = joined(answer_words, kMostAnswerWords);
  Score best;
  for (const auto& given : labels) {
    const std::string label = normalise_answer(given);
    const bool is_equal = answer == label;
    if (is_equal || beginning.find(label) != std::string::npos) best.em = 1;
    if (is_equal) best.strict_em = 1;
    auto label_words = split_words(label);
    if (label_words.size() > kMostLabelWords) label_words.resize(kMostLabelWords);
    best.f1 = std::max(best.f1, word_f1(answer_words, label_words));
  }
  return best;
}

Score mean_score(const std::vector<Score>& scores) {
  Score mean;
  if (scores.empty()) return mean;
  for (const auto& score : scores) {
    mean.em += score.em;
    mean.strict_em += score.strict_em;
    mean.f1 += score.f1;
  }
  const auto count = static_cast<double>(scores.size());
  return {mean.em / count, mean.strict_em / count, mean.f1 / count};
}

}  // namespace finer
