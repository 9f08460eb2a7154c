#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace finer::data {

/// What a round asks for.
enum class RoundKind { kSuperordinate, kCoarse, kAttributes, kFine };

/// A wording split at its placeholders: text, name, text, name, ..., text.
class Wording {
 public:
  enum class Slot { kSuperordinate, kCoarse, kAttributes, kFine };

  /// Throws: DataError with the reason: an unknown or unclosed placeholder, an image mark.
  static Wording parse(const std::string& text);

  /// What is put in for each slot, in the order of Slot.
  using Values = std::array<std::string_view, 4>;
  std::string filled(const Values& values) const;
  bool has(Slot slot) const;

 private:
  std::vector<std::string> texts_;  // one more than slots_
  std::vector<Slot> slots_;
};

/// The wordings of one round. Empty lists: the file has no such section.
struct RoundWordings {
  std::vector<Wording> questions, answers;
};

/// Questions and answers for every kind of round, from a YAML file:
///
///   coarse: {questions: ["What kind of {superordinate} is it?"], answers: ["{coarse}"]}
///
/// Sections: superordinate, coarse, attributes, fine, and fine_after_attributes: the question for
/// the name once the attributes have been told. Placeholders: {superordinate}, {coarse},
/// {attributes}, {fine}. An answer must have its own; a question must not have what it asks for,
/// nor the name, nor (before they are told) the attributes.
class Templates {
 public:
  /// An empty path: the wordings inside the program. Throws: DataError "FILE:LINE: ...".
  static Templates load(const std::string& file);
  static Templates parse(const std::string& text, const std::string& name);

  /// knows_attributes: the attributes were told before. Throws: DataError naming the file and the
  /// section it lacks.
  const RoundWordings& of(RoundKind kind, bool knows_attributes) const;
  /// Where they come from, for messages and the manifest.
  const std::string& name() const { return name_; }
  /// Hash of the text they were read from.
  const std::string& sha256() const { return sha256_; }
  uint64_t size_bytes() const { return size_bytes_; }

 private:
  std::string name_, sha256_;
  uint64_t size_bytes_ = 0;
  std::array<RoundWordings, 5> sections_;
};

/// The text of data/templates/fine_grained.yaml, as it was when the program was built.
extern const char* const kDefaultTemplates;

}  // namespace finer::data
