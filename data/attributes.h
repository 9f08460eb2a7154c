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

/// Attributes by fine name, compared as normalised_label().
///
/// An entry answers to its "name" and to each of its "fine" names. A name that two entries with
/// different attributes share (common names of two species do) finds neither of them; their other
/// names still do.
class AttributeTable {
 public:
  /// Reads one or more files: lists of {"id", "name", "attr_binomial": {"required", "likely"}}, or
  /// of {"id", "name", "fine", "required", "likely"}. Blank attributes are left out. Throws:
  /// DataError that names file and entry.
  static AttributeTable load(const std::vector<std::filesystem::path>& files);

  /// The entry of the first of the labels that has one; nullptr: none has. Its lists may be empty.
  const ConceptAttributes* find(const std::vector<std::string>& fine_labels) const;
  const std::vector<ConceptAttributes>& concepts() const { return concepts_; }
  /// Names that two entries with different attributes share, in the order found.
  const std::vector<std::string>& ambiguous_names() const { return ambiguous_names_; }

 private:
  std::vector<ConceptAttributes> concepts_;
  std::vector<std::string> ambiguous_names_;
  std::unordered_map<std::string, size_t> by_name_;
};

/// A label in the form that labels are compared in: ASCII letters in lower case, a possessive 's
/// left out ("Brewer's Blackbird" is CUB's "Brewer Blackbird"), every run of punctuation and blanks
/// one blank, none at the ends; other bytes as they are.
std::string normalised_label(const std::string& label);

}  // namespace finer::data
