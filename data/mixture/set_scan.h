#pragma once

#include "data/attributes.h"
#include "data/mixture/conversation.h"
#include "data/mixture/hold_out.h"
#include "data/mixture/selection.h"

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

namespace finer::data {

/// One class of a set, and what becomes of its records.
struct MixtureClass {
  std::string name;                 // "Family / Variant"
  std::vector<std::string> labels;  // fine labels
  std::string attributes;           // as told; empty: none known
  std::string shared_with;          // "KEY: name" of the held-out concept of the same name
  uint64_t seed = 0;
  int64_t records = 0;            // in the file
  int64_t without_coarse = 0;     // of these: without a coarse label, where the rounds need one
  int64_t held_pictures = 0;      // of these: pictures of a held-out set, left out
  int64_t available = 0;          // of these: may be taken
  int64_t taken = 0;              // pictures in the output
  bool lacks_attributes = false;  // where the rounds need them
  bool is_left_out = false;       // strict_hold_out: shares its name
};

/// A set's classes and the pictures that were taken of it.
class SetScan {
 public:
  /// Reads the records once. `status` is told how far it is.
  /// Throws: DataError "FILE: idx N: ...", or where no record can be used.
  SetScan(const MixtureConfig& config, const MixtureSet& set, const ConversationWriter& writer,
          const HoldOut& hold_out, const std::function<void(const std::string&)>& status);

  /// Reads the records again and calls visit(record, its class) for each that was taken, in the
  /// order of the file.
  void for_each_taken(
      const std::function<void(const UnifiedRecord&, const MixtureClass&)>& visit) const;

  const MixtureSet& set() const { return set_; }
  const std::vector<MixtureClass>& classes() const { return classes_; }
  const std::vector<std::string>& ambiguous_names() const { return ambiguous_names_; }
  /// Sum of one count over the classes.
  int64_t total(int64_t MixtureClass::*count) const;
  std::string spread() const { return spread_; }

 private:
  uint32_t class_of(const UnifiedRecord& record);

  MixtureSet set_;
  uint64_t seed_;
  std::string spread_;  // fine | superordinate
  std::vector<MixtureClass> classes_;
  std::unordered_map<std::string, uint32_t> class_by_key_;
  std::vector<Candidate> taken_;  // in the order of the file
  std::vector<std::string> ambiguous_names_;
};

/// The picture's path below the images folder of the training: prefix and path, without dots.
/// Throws: DataError where it is absolute or leads out.
std::string output_image(const MixtureSet& set, const std::string& img_path);

}  // namespace finer::data
