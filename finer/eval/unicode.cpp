#include "finer/eval/unicode.h"

#include <algorithm>
#include <iterator>

namespace finer {
namespace {

struct CodeRange {
  char32_t first, last;
};
// first, first + step, ..., last are `shift` below their lower case.
struct LowerRun {
  char32_t first, last;
  int step, shift;
};

#include "finer/eval/unicode_tables.inc"

constexpr char32_t kNoCharacter = 0x110000;
constexpr char32_t kCapitalSigma = 0x3a3;

template <class Range, size_t kCount>
const Range* range_of(const Range (&ranges)[kCount], char32_t code) {
  const auto* after =
      std::upper_bound(std::begin(ranges), std::end(ranges), code,
                       [](char32_t c, const Range& range) { return c < range.first; });
  if (after == std::begin(ranges) || code > (after - 1)->last) return nullptr;
  return after - 1;
}

char32_t lower_code(char32_t code) {
  const auto* run = range_of(kLowerRuns, code);
  if (run == nullptr || (code - run->first) % static_cast<char32_t>(run->step) != 0) return code;
  return static_cast<char32_t>(static_cast<int64_t>(code) + run->shift);
}

void add_code(std::string& out, char32_t code) {
  const auto add = [&](char32_t byte) { out += static_cast<char>(static_cast<uint8_t>(byte)); };
  if (code < 0x80) {
    add(code);
  } else if (code < 0x800) {
    add(0xc0 | code >> 6);
    add(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    add(0xe0 | code >> 12);
    add(0x80 | (code >> 6 & 0x3f));
    add(0x80 | (code & 0x3f));
  } else if (code < kNoCharacter) {
    add(0xf0 | code >> 18);
    add(0x80 | (code >> 12 & 0x3f));
    add(0x80 | (code >> 6 & 0x3f));
    add(0x80 | (code & 0x3f));
  } else {
    add(code - kNoCharacter);
  }
}

// A sigma is final when a cased letter stands before it and none after it, characters that are
// passed over (accents, full stops) aside. Source: the Unicode standard, table 3-17.
bool is_final_sigma(const std::vector<char32_t>& codes, size_t at) {
  size_t before = at;
  while (before > 0 && range_of(kPassedRanges, codes[before - 1]) != nullptr) --before;
  if (before == 0 || range_of(kCasedRanges, codes[before - 1]) == nullptr) return false;
  size_t after = at + 1;
  while (after < codes.size() && range_of(kPassedRanges, codes[after]) != nullptr) ++after;
  return after == codes.size() || range_of(kCasedRanges, codes[after]) == nullptr;
}

std::string lower_by_code(std::string_view text) {
  std::vector<char32_t> codes;
  for (size_t at = 0; at < text.size();) {
    const auto character = front_character(text.substr(at));
    codes.push_back(character.code);
    at += character.length;
  }
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < codes.size(); ++i) {
    if (codes[i] == 0x130) {  // capital i with a dot: the one whose lower case is two characters
      add_code(out, 'i');
      add_code(out, 0x307);
    } else if (codes[i] == kCapitalSigma && is_final_sigma(codes, i)) {
      add_code(out, 0x3c2);
    } else {
      add_code(out, lower_code(codes[i]));
    }
  }
  return out;
}

}  // namespace

Character front_character(std::string_view text) {
  const auto byte = [&](size_t i) -> char32_t {
    return i < text.size() ? static_cast<uint8_t>(text[i]) : 0;
  };
  const auto is_tail = [&](size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const char32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead >= 0xc2 && lead < 0xe0 && is_tail(1)) {
    return {(lead & 0x1f) << 6 | (byte(1) & 0x3f), 2};
  }
  if (lead >= 0xe0 && lead < 0xf0 && is_tail(1) && is_tail(2)) {
    const char32_t code = (lead & 0xf) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f);
    if (code >= 0x800 && (code < 0xd800 || code > 0xdfff)) return {code, 3};
  }
  if (lead >= 0xf0 && lead < 0xf5 && is_tail(1) && is_tail(2) && is_tail(3)) {
    const char32_t code =
        (lead & 0x7) << 18 | (byte(1) & 0x3f) << 12 | (byte(2) & 0x3f) << 6 | (byte(3) & 0x3f);
    if (code >= 0x10000 && code < kNoCharacter) return {code, 4};
  }
  return {kNoCharacter + lead, 1};
}

bool is_blank(char32_t code) {
  return code == ' ' || (code >= 0x9 && code <= 0xd) || (code >= 0x1c && code <= 0x1f) ||
         code == 0x85 || code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) ||
         code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

bool is_word_character(char32_t code) {
  if (code < 0x80) {
    return (code >= '0' && code <= '9') || (code >= 'A' && code <= 'Z') ||
           (code >= 'a' && code <= 'z') || code == '_';
  }
  return range_of(kWordRanges, code) != nullptr;
}

std::string lower_case(std::string_view text) {
  if (std::any_of(text.begin(), text.end(),
                  [](char c) { return static_cast<uint8_t>(c) >= 0x80; })) {
    return lower_by_code(text);
  }
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::vector<std::string_view> split_words(std::string_view text) {
  std::vector<std::string_view> words;
  size_t begin = 0, at = 0;
  while (at < text.size()) {
    const auto character = front_character(text.substr(at));
    if (is_blank(character.code)) {
      if (at > begin) words.push_back(text.substr(begin, at - begin));
      begin = at + character.length;
    }
    at += character.length;
  }
  if (at > begin) words.push_back(text.substr(begin));
  return words;
}

}  // namespace finer
