#include "finer/eval/class_table.h"

#include "finer/core/error.h"
#include "finer/eval/unicode.h"
#include "finer/train/readable.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace finer {
namespace {

constexpr size_t kMostNamedWords = 20;  // as far as em looks

std::string class_name(const std::vector<std::string>& labels) {
  std::string name;
  for (const auto& label : labels) name += (name.empty() ? "" : ", ") + label;
  return name;
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

// (class, normalised label) -> how often it was answered there although it is another class's name.
using WrongNames = std::map<std::pair<int64_t, std::string>, Confusion>;

WrongNames wrong_names(const EvalClasses& classes, const std::vector<ClassAnswer>& answers) {
  WrongNames found;
  for (const auto& answer : answers) {
    if (answer.score.em > 0) continue;
    const auto named = classes.named_in(answer.text);
    if (!named) continue;
    const auto& owners = named->classes;
    if (std::find(owners.begin(), owners.end(), answer.class_id) != owners.end()) continue;
    auto& confusion = found[{answer.class_id, named->label}];
    confusion.gold = classes[answer.class_id].name;
    confusion.answered = named->label;
    ++confusion.count;
  }
  return found;
}

}  // namespace

EvalClasses::EvalClasses(const std::vector<data::UnifiedRecord>& records) {
  std::map<std::vector<std::string>, int64_t> ids;
  for (const auto& record : records) {
    const auto [place, is_new] = ids.try_emplace(record.fine, size());
    const int64_t id = place->second;
    if (is_new) {
      classes_.push_back(
          {class_name(record.fine), record.superordinate, class_name(record.coarse)});
      for (const auto& label : record.fine) {
        const std::string normal = normalise_answer(label);
        if (normal.empty()) continue;
        auto& named = by_label_[normal];
        if (named.classes.empty()) named.label = label;
        if (named.classes.empty() || named.classes.back() != id) named.classes.push_back(id);
        most_words_ = std::max(most_words_, split_words(normal).size());
      }
    }
    ++classes_[static_cast<size_t>(id)].num_records;
    class_of_idx_[record.idx] = id;
  }
}

int64_t EvalClasses::of_record(int64_t idx) const {
  const auto found = class_of_idx_.find(idx);
  return found == class_of_idx_.end() ? -1 : found->second;
}

std::optional<NamedClass> EvalClasses::named_in(std::string_view answer) const {
  const std::string normal = normalise_answer(answer_part(answer));
  const auto whole = by_label_.find(normal);
  if (whole != by_label_.end()) return whole->second;
  auto words = split_words(normal);
  if (words.size() > kMostNamedWords) words.resize(kMostNamedWords);
  for (size_t length = std::min(words.size(), most_words_); length > 0; --length) {
    for (size_t first = 0; first + length <= words.size(); ++first) {
      std::string label(words[first]);
      for (size_t i = 1; i < length; ++i) label.append(" ").append(words[first + i]);
      const auto found = by_label_.find(label);
      if (found != by_label_.end()) return found->second;
    }
  }
  return std::nullopt;
}

std::vector<Confusion> confusions(const EvalClasses& classes,
                                  const std::vector<ClassAnswer>& answers, size_t most) {
  std::map<int64_t, int64_t> num_gold;
  for (const auto& answer : answers) ++num_gold[answer.class_id];
  std::vector<Confusion> found;
  for (auto& [key, confusion] : wrong_names(classes, answers)) {
    found.push_back(confusion);
    found.back().num_gold = num_gold[key.first];
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return std::tie(b.count, a.gold, a.answered) < std::tie(a.count, b.gold, b.answered);
  });
  if (found.size() > most) found.resize(most);
  return found;
}

std::string class_csv(const EvalClasses& classes, const std::vector<ClassAnswer>& answers) {
  std::map<int64_t, std::vector<Score>> scores;
  for (const auto& answer : answers) scores[answer.class_id].push_back(answer.score);
  std::map<int64_t, Confusion> most_answered;
  for (const auto& [key, confusion] : wrong_names(classes, answers)) {
    auto& most = most_answered[key.first];
    if (confusion.count > most.count) most = confusion;
  }
  std::string out =
      "class,superordinate,coarse,count,em,strict_em,f1,most_answered,most_answered_count\n";
  for (const auto& [id, of_class] : scores) {
    FINER_CHECK(id >= 0 && id < classes.size(), "a class of these records");
    const Score mean = mean_score(of_class);
    const auto& one = classes[id];
    const auto wrong = most_answered.find(id);
    out += csv_field(one.name) + "," + csv_field(one.superordinate) + "," + csv_field(one.coarse) +
           "," + std::to_string(of_class.size()) + "," + readable_fixed(mean.em, 6) + "," +
           readable_fixed(mean.strict_em, 6) + "," + readable_fixed(mean.f1, 6) + "," +
           (wrong == most_answered.end()
                ? ",0"
                : csv_field(wrong->second.answered) + "," + std::to_string(wrong->second.count)) +
           "\n";
  }
  return out;
}

}  // namespace finer
