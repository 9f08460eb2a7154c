#pragma once

#include "data/mixture/config.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace finer::data {

/// What became of one set, for the table that is printed.
struct SetSummary {
  std::string key;
  bool is_held_out = false;
  int64_t records = 0, classes = 0;
  int64_t available = 0;  // pictures that may be taken
  int64_t pictures = 0, samples = 0, classes_taken = 0;
  std::vector<std::string> without_attributes;    // names of classes that lack them
  int64_t without_coarse = 0;                     // records
  std::vector<std::string> shared_with_held_out;  // "name (KEY: name)"
  int64_t shared_samples = 0;                     // of the shared classes, in the output
  int64_t shared_pictures_left_out = 0;           // strict_hold_out
};

struct MixtureSummary {
  std::vector<SetSummary> sets;  // by key
  int64_t samples = 0;           // in the output
  int64_t mix_samples = 0, mix_left_out = 0;
  int64_t held_out_pictures = 0, held_out_names = 0;  // what was looked for
  std::string manifest;                               // its path
};

/// Writes config.output and the manifest beside it, OUTPUT with the extension .manifest.json: the
/// same bytes for the same inputs, seed and recipe, whatever the order of the sets. Samples come
/// set by set (in the order of their keys), in the order of the records, then the mix as it is.
///
/// program: what the manifest says wrote it. status: told now and then how far it is.
/// Throws: DataError naming the file that is at fault; nothing is written then.
MixtureSummary write_mixture(const MixtureConfig& config, const std::string& program,
                             const std::function<void(const std::string&)>& status);

/// The table and the notes under it, as lines.
std::vector<std::string> mixture_table(const MixtureSummary& summary);

}  // namespace finer::data
