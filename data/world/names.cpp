#include "data/world/names.h"

#include <algorithm>
#include <cstdlib>

namespace finer::data {

namespace {

constexpr std::string_view kOnsets = "bdfgklmnprstvz";
constexpr std::string_view kVowels = "aeiou";
constexpr std::string_view kEnds = "lnrsx";
constexpr int kMinLettersApart = 2;

// English words that have this form.
constexpr std::string_view kWords[] = {
    "bolivar", "capital", "denizen", "federal", "funeral", "general", "genesis",
    "lateral", "liberal", "literal", "minimal", "mineral", "modular", "monitor",
    "nodular", "nominal", "numeral", "popular", "regular", "rotator", "samovar",
    "seminar", "senator", "several", "similar", "tabular", "tubular", "venison",
    "vinegar", "visitor", "salamis", "limiter", "vegetal", "sideral", "natural"};

// Not wanted in a name, anywhere.
constexpr std::string_view kParts[] = {
    "sex",  "tit",  "nig",   "fag",   "dik",  "kok",  "fuk",   "pis",    "nazi",  "rape",  "kaka",
    "puta", "pedo", "suka",  "anus",  "anal", "kike", "penis", "lolita", "vagin", "semen", "urin",
    "pupu", "popo", "zigan", "kafir", "nego", "hure", "bitu",  "satan",  "pusi"};

}  // namespace

int letters_apart(std::string_view a, std::string_view b) {
  int apart = std::abs(static_cast<int>(a.size()) - static_cast<int>(b.size()));
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) apart += a[i] != b[i];
  return apart;
}

bool is_avoided_name(std::string_view name) {
  for (const auto word : kWords) {
    if (name == word) return true;
  }
  for (const auto part : kParts) {
    if (name.find(part) != name.npos) return true;
  }
  return false;
}

std::string draw_name(const std::vector<std::string>& used, Rng& rng) {
  const auto draw = [&](std::string_view letters) { return letters[rng.below(letters.size())]; };
  while (true) {
    std::string name;
    for (int i = 0; i < 3; ++i) {
      name += draw(kOnsets);
      name += draw(kVowels);
    }
    name += draw(kEnds);
    const bool is_apart = std::all_of(used.begin(), used.end(), [&](const std::string& other) {
      return letters_apart(name, other) >= kMinLettersApart;
    });
    if (is_apart && !is_avoided_name(name)) return name;
  }
}

}  // namespace finer::data
