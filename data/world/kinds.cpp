#include "data/world/kinds.h"

namespace finer::data {

namespace {

using Slots = std::array<Slot, kNumSlots>;

Slots bird_slots() {
  return {Slot{"body", SlotKind::kColour}, Slot{"body", SlotKind::kPattern},
          Slot{"wing", SlotKind::kColour}, Slot{"beak", SlotKind::kColour},
          Slot{"tail", SlotKind::kColour}};
}

Slots fish_slots() {
  return {Slot{"body", SlotKind::kColour}, Slot{"body", SlotKind::kPattern},
          Slot{"fin", SlotKind::kColour}, Slot{"belly", SlotKind::kColour},
          Slot{"tail", SlotKind::kColour}};
}

Slots flower_slots() {
  return {Slot{"petal", SlotKind::kColour}, Slot{"petal", SlotKind::kPattern},
          Slot{"heart", SlotKind::kColour}, Slot{"leaf", SlotKind::kColour},
          Slot{"pot", SlotKind::kColour}};
}

}  // namespace

const std::vector<CoarseKind>& coarse_kinds() {
  static const std::vector<CoarseKind> kinds = {
      {"bird", "owl", bird_slots()},       {"bird", "duck", bird_slots()},
      {"bird", "heron", bird_slots()},     {"fish", "eel", fish_slots()},
      {"fish", "carp", fish_slots()},      {"fish", "shark", fish_slots()},
      {"flower", "daisy", flower_slots()}, {"flower", "tulip", flower_slots()},
      {"flower", "poppy", flower_slots()},
  };
  return kinds;
}

const std::vector<std::string>& slot_values(SlotKind kind) {
  static const std::vector<std::string> colours = {"red",  "yellow", "green",
                                                   "blue", "white",  "black"};
  static const std::vector<std::string> patterns = {"plain", "striped", "spotted", "barred"};
  return kind == SlotKind::kColour ? colours : patterns;
}

std::vector<std::string> attribute_phrases(const CoarseKind& kind, const Combination& values) {
  std::vector<std::string> phrases;
  for (size_t i = 0; i < kNumSlots; ++i) {
    const auto& slot = kind.slots[i];
    phrases.push_back(slot_values(slot.kind).at(static_cast<size_t>(values[i])) + " " + slot.part);
  }
  return phrases;
}

}  // namespace finer::data
