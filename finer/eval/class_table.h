#pragma once

#include "data/unified.h"
#include "finer/eval/result_table.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace finer {

/// Records with the same fine labels are one class.
struct EvalClass {
  std::string name;  // the fine labels, joined by ", "
  std::string superordinate;
  std::string coarse;  // joined by ", ", of its first record
  int64_t num_records = 0;
};

/// A label of some class, found in an answer.
struct NamedClass {
  std::string label;             // as the records spell it
  std::vector<int64_t> classes;  // a family's name belongs to several variants
};

/// The classes of a set, in order of their first record.
class EvalClasses {
 public:
  explicit EvalClasses(const std::vector<data::UnifiedRecord>& records);

  int64_t size() const { return static_cast<int64_t>(classes_.size()); }
  const EvalClass& operator[](int64_t class_id) const {
    return classes_[static_cast<size_t>(class_id)];
  }
  /// -1: no record has this idx.
  int64_t of_record(int64_t idx) const;

  /// The fine label that an answer is, or else the longest one that stands in its first 20 words as
  /// whole words (the first of equally long ones).
  std::optional<NamedClass> named_in(std::string_view answer) const;

 private:
  std::vector<EvalClass> classes_;
  std::unordered_map<int64_t, int64_t> class_of_idx_;
  std::unordered_map<std::string, NamedClass> by_label_;  // normalised
  size_t most_words_ = 0;
};

/// A gold class and another class's name that was answered instead.
struct Confusion {
  std::string gold;
  std::string answered;
  int64_t count = 0;
  int64_t num_gold = 0;  // predictions of the gold class in all
};

/// What was answered, for the two functions below.
struct ClassAnswer {
  int64_t class_id = 0;
  std::string text;
  Score score;
};

/// Most frequent first, ties in order of the names. Answers that are right (em) or name no class
/// are no confusion.
std::vector<Confusion> confusions(const EvalClasses& classes,
                                  const std::vector<ClassAnswer>& answers, size_t most = 50);

/// class,superordinate,coarse,count,em,strict_em,f1,most_answered,most_answered_count: a line a
/// class that has predictions, means 0..1, the other class's name given most often. RFC 4180.
std::string class_csv(const EvalClasses& classes, const std::vector<ClassAnswer>& answers);

}  // namespace finer
