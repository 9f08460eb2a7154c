#pragma once

#include "finer/core/joined.h"

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace finer::data {

enum class SlotKind { kColour, kPattern };

/// A place of a picture that an attribute fills: "red wing", "striped body".
struct Slot {
  std::string part;
  SlotKind kind;
};

inline constexpr size_t kNumSlots = 5;

/// One value a slot, an index into slot_values(slot.kind).
using Combination = std::array<int, kNumSlots>;

/// A coarse group of the miniature's world, its superordinate, and what varies within it.
struct CoarseKind {
  std::string superordinate;  // "bird"
  std::string coarse;         // "owl"
  std::array<Slot, kNumSlots> slots;
};

/// The nine coarse groups: three each of bird, fish and flower.
const std::vector<CoarseKind>& coarse_kinds();

/// Colours: red yellow green blue white black; patterns: plain striped spotted barred.
const std::vector<std::string>& slot_values(SlotKind kind);

/// "red body", "striped body", "blue wing", ... in the order of the slots.
std::vector<std::string> attribute_phrases(const CoarseKind& kind, const Combination& values);

}  // namespace finer::data
