#pragma once

#include <filesystem>
#include <string>
#include <unordered_map>
#include <vector>

namespace finer::data {

/// The visible attributes of one concept, as the authors' `parsed-...json` files have them.
struct ConceptAttributes {
  std::string id, name;
  std::vector<std::string> required, likely;
};

/// Attributes by fine name: compared in lower case, with punctuation and blanks squeezed.
class AttributeTable {
 public:
  /// Reads one or more files: lists of {"id", "name", "attr_binomial": {"required", "likely"}}, or
  /// of {"id", "name", "fine", "required", "likely"}. Throws: DataError that names file and entry.
  static AttributeTable load(const std::vector<std::filesystem::path>& files);

  /// The entry of the first of the labels that has one; nullptr: none has.
  const ConceptAttributes* find(const std::vector<std::string>& fine_labels) const;
  const std::vector<ConceptAttributes>& concepts() const { return concepts_; }

 private:
  std::vector<ConceptAttributes> concepts_;
  std::unordered_map<std::string, size_t> by_name_;
};

/// A label in the form that labels are compared in.
std::string normalised_label(const std::string& label);

}  // namespace finer::data
