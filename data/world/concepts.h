#pragma once

#include "data/world/kinds.h"
#include "finer/core/rng.h"

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace finer::data {

/// An invented species: a combination of its coarse group that has a name.
struct Concept {
  int64_t id = 0;
  size_t kind = 0;  // index into coarse_kinds()
  Combination values{};
  std::string name;
  bool is_held_out = false;  // no picture of it is ever trained on
};

/// per_kind concepts of each of the nine groups, the first held_out_per_kind of each held out.
/// Combinations of one group differ in at least two slots; names in at least two letters.
///
/// attempt  0, 1, ...: other names for the same combinations (the tokenizer may ask for them).
/// Throws: DataError unless 0 < held_out_per_kind < per_kind <= 100.
std::vector<Concept> draw_concepts(uint64_t seed, int64_t per_kind, int64_t held_out_per_kind,
                                   int attempt = 0);

/// In how many slots two combinations differ.
int slots_apart(const Combination& a, const Combination& b);

/// (coarse group, combination), which no training picture may show.
using HeldOut = std::set<std::pair<size_t, Combination>>;
HeldOut held_out_combinations(const std::vector<Concept>& concepts);

/// A picture without a name: a random coarse group and a random combination of it that is not held
/// out. It may be a known concept's by chance.
struct Specimen {
  size_t kind = 0;
  Combination values{};
};
Specimen draw_specimen(const HeldOut& held_out, Rng& rng);

}  // namespace finer::data
