#include "data/world/concepts.h"

#include "data/world/names.h"
#include "finer/core/error.h"

#include <algorithm>

namespace finer::data {

namespace {

constexpr int kMinSlotsApart = 2;
constexpr uint64_t kCombinationSeed = 101, kNameSeed = 102;

Combination draw_combination(const CoarseKind& kind, Rng& rng) {
  Combination values{};
  for (size_t i = 0; i < kNumSlots; ++i) {
    values[i] = static_cast<int>(rng.below(slot_values(kind.slots[i].kind).size()));
  }
  return values;
}

}  // namespace

int slots_apart(const Combination& a, const Combination& b) {
  int apart = 0;
  for (size_t i = 0; i < kNumSlots; ++i) apart += a[i] != b[i];
  return apart;
}

std::vector<Concept> draw_concepts(uint64_t seed, int64_t per_kind, int64_t held_out_per_kind,
                                   int attempt) {
  constexpr int64_t kMostPerKind = 100;  // far from where no combination is left two slots apart
  if (per_kind < 2 || per_kind > kMostPerKind) {
    throw DataError("concepts a coarse group: found " + std::to_string(per_kind) +
                    ", expected 2 to " + std::to_string(kMostPerKind));
  }
  if (held_out_per_kind < 1 || held_out_per_kind >= per_kind) {
    throw DataError("held-out concepts a coarse group: found " + std::to_string(held_out_per_kind) +
                    ", expected 1 to " + std::to_string(per_kind - 1) +
                    ", so that some are held out and some are known");
  }
  std::vector<Concept> concepts;
  std::vector<std::string> names;
  for (size_t kind = 0; kind < coarse_kinds().size(); ++kind) {
    Rng rng(mix_seed(mix_seed(seed, kCombinationSeed), kind));
    std::vector<Combination> drawn;
    while (static_cast<int64_t>(drawn.size()) < per_kind) {
      const auto values = draw_combination(coarse_kinds()[kind], rng);
      const bool is_apart = std::all_of(drawn.begin(), drawn.end(), [&](const Combination& other) {
        return slots_apart(values, other) >= kMinSlotsApart;
      });
      if (is_apart) drawn.push_back(values);
    }
    Rng name_rng(mix_seed(mix_seed(mix_seed(seed, kNameSeed), kind), uint64_t(attempt)));
    for (size_t i = 0; i < drawn.size(); ++i) {
      Concept species;
      species.id = static_cast<int64_t>(concepts.size());
      species.kind = kind;
      species.values = drawn[i];
      species.name = draw_name(names, name_rng);
      species.is_held_out = static_cast<int64_t>(i) < held_out_per_kind;
      names.push_back(species.name);
      concepts.push_back(std::move(species));
    }
  }
  return concepts;
}

HeldOut held_out_combinations(const std::vector<Concept>& concepts) {
  HeldOut held_out;
  for (const auto& species : concepts) {
    if (species.is_held_out) held_out.emplace(species.kind, species.values);
  }
  return held_out;
}

Specimen draw_specimen(const HeldOut& held_out, Rng& rng) {
  while (true) {
    Specimen specimen;
    specimen.kind = rng.below(coarse_kinds().size());
    specimen.values = draw_combination(coarse_kinds()[specimen.kind], rng);
    if (!held_out.contains({specimen.kind, specimen.values})) return specimen;
  }
}

}  // namespace finer::data
