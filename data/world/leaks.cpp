#include "data/world/leaks.h"

#include "data/dataset.h"
#include "data/unified.h"
#include "finer/core/error.h"
#include "finer/core/quote.h"
#include "finer/core/rng.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <unordered_map>

namespace finer::data {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kPoolNames[kNumPools] = {"specimens",     "train",       "known-test",
                                               "held-out-test", "probe-train", "probe-test"};

uint64_t parse_hash(const std::string& text) {
  uint64_t hash = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), hash, 16);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw DataError(quote(text) + " is no hash");
  }
  return hash;
}

std::ifstream open_world_file(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in || fs::is_directory(file)) {
    throw DataError(file.string() +
                    ": cannot be opened; expected a folder that `finer-data world` wrote");
  }
  return in;
}

std::string all_of(std::ifstream& in) {
  std::string bytes;
  char block[16384];
  while (in.read(block, sizeof block) || in.gcount() > 0) {
    bytes.append(block, static_cast<size_t>(in.gcount()));
  }
  return bytes;
}

size_t kind_named(const std::string& coarse) {
  const auto& kinds = coarse_kinds();
  for (size_t i = 0; i < kinds.size(); ++i) {
    if (kinds[i].coarse == coarse) return i;
  }
  throw DataError(quote(coarse) + " is no coarse group of the world");
}

Combination parse_combination(const CoarseKind& kind, const Json& phrases) {
  if (!phrases.is_array() || phrases.size() != kNumSlots) {
    throw DataError("attributes: expected a list of " + std::to_string(kNumSlots));
  }
  Combination values{};
  for (size_t i = 0; i < kNumSlots; ++i) {
    const auto& slot = kind.slots[i];
    const auto& known = slot_values(slot.kind);
    const auto phrase = phrases[i].get<std::string>();
    const auto found = std::find_if(known.begin(), known.end(), [&](const std::string& value) {
      return value + " " + slot.part == phrase;
    });
    if (found == known.end()) throw DataError("attributes: " + quote(phrase) + " is none");
    values[i] = static_cast<int>(found - known.begin());
  }
  return values;
}

Pool pool_named(const std::string& name) {
  for (size_t i = 0; i < kNumPools; ++i) {
    if (name == kPoolNames[i]) return static_cast<Pool>(i);
  }
  throw DataError(quote(name) + " is no pool of pictures");
}

PictureEntry parse_picture_line(const std::string& line) {
  const auto json = Json::parse(line);
  PictureEntry entry;
  entry.path = json.at("path").get<std::string>();
  entry.pool = pool_named(json.at("pool").get<std::string>());
  entry.kind = kind_named(json.at("coarse").get<std::string>());
  entry.values = parse_combination(coarse_kinds()[entry.kind], json.at("attributes"));
  if (!json.at("name").is_null()) entry.name = json.at("name").get<std::string>();
  entry.hash = parse_hash(json.at("hash").get<std::string>());
  return entry;
}

bool is_trained_on(Pool pool) { return pool == Pool::kSpecimens || pool == Pool::kTrain; }

bool holds_text(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

}  // namespace

std::string pool_name(Pool pool) { return kPoolNames[static_cast<size_t>(pool)]; }

std::string picture_line(const PictureEntry& entry) {
  const auto& kind = coarse_kinds().at(entry.kind);
  Json json = {{"path", entry.path},    {"pool", pool_name(entry.pool)},
               {"coarse", kind.coarse}, {"attributes", attribute_phrases(kind, entry.values)},
               {"name", nullptr},       {"hash", hash_text(entry.hash)}};
  if (entry.name) json["name"] = *entry.name;
  return json.dump();
}

LeakCheck LeakCheck::load(const fs::path& world) {
  LeakCheck check;
  check.world_ = world;
  const fs::path concepts_file = world / "concepts.json";
  try {
    auto in = open_world_file(concepts_file);
    for (const auto& json : Json::parse(all_of(in))) {
      if (json.at("split") != "held-out") continue;
      const size_t kind = kind_named(json.at("coarse").get<std::string>());
      const auto values = parse_combination(coarse_kinds()[kind], json.at("attributes"));
      check.combinations_.emplace(kind, values);
      check.held_out_.push_back({json.at("name").get<std::string>(), coarse_kinds()[kind].coarse,
                                 joined(attribute_phrases(coarse_kinds()[kind], values))});
    }
  } catch (const Json::exception& error) {
    throw DataError(concepts_file.string() + ": " + error.what());
  }
  if (check.held_out_.empty()) throw DataError(concepts_file.string() + ": no concept is held out");

  const fs::path pictures_file = world / "pictures.jsonl";
  auto in = open_world_file(pictures_file);
  std::string line;
  for (int64_t number = 1; std::getline(in, line); ++number) {
    try {
      auto entry = parse_picture_line(line);
      if (!is_trained_on(entry.pool)) check.test_hashes_.emplace(entry.hash, entry.path);
      check.by_path_.emplace(entry.path, std::move(entry));
    } catch (const std::exception& error) {
      throw DataError(pictures_file.string() + ":" + std::to_string(number) + ": " + error.what());
    }
  }
  return check;
}

std::string LeakCheck::fault_of_picture(const std::string& path, const fs::path& images) const {
  std::ifstream in(resolve_inside(images, path), std::ios::binary);
  if (!in) return "picture " + quote(path) + " cannot be opened";
  const uint64_t hash = hash_bytes(all_of(in));
  const auto test = test_hashes_.find(hash);
  if (test != test_hashes_.end()) {
    return "picture " + quote(path) + " is " + test->second + ", which is kept for tests";
  }
  const auto found = by_path_.find(path);
  if (found == by_path_.end()) return "picture " + quote(path) + " is none of this world's";
  const auto& entry = found->second;
  if (!is_trained_on(entry.pool)) return "picture " + quote(path) + " is kept for tests";
  if (combinations_.contains({entry.kind, entry.values})) {
    return "picture " + quote(path) + " shows a held-out combination";
  }
  if (hash != entry.hash) return "picture " + quote(path) + " is not what was drawn";
  return "";
}

std::string LeakCheck::fault_of_texts(const std::vector<std::string>& texts) const {
  const auto is_said = [&](const std::string& part) {
    return std::any_of(texts.begin(), texts.end(),
                       [&](const std::string& text) { return holds_text(text, part); });
  };
  for (const auto& species : held_out_) {
    if (is_said(species.name)) return "a picture's text names " + species.name + ", held out";
    if (is_said(species.attributes) && is_said(species.coarse)) {
      return "a picture's text describes " + species.name + ", held out: " + species.coarse +
             " with " + species.attributes;
    }
  }
  return "";
}

std::vector<std::string> LeakCheck::in_conversations(const fs::path& file, const fs::path& images,
                                                     size_t most) const {
  std::vector<std::string> leaks;
  std::unordered_map<std::string, std::string> fault_of;  // by path: most are shown several times
  const auto dataset = Dataset::open(file);
  for (int64_t i = 0; i < dataset.size() && leaks.size() < most; ++i) {
    const auto sample = dataset.read(i);
    if (!sample.image) continue;
    const auto [place, is_new] = fault_of.try_emplace(*sample.image);
    if (is_new) place->second = fault_of_picture(*sample.image, images);
    std::string fault = place->second;
    if (fault.empty()) {
      std::vector<std::string> texts;
      for (const auto& turn : sample.turns) texts.push_back(turn.value);
      fault = fault_of_texts(texts);
    }
    if (!fault.empty()) leaks.push_back(dataset.where(i, sample.id) + ": " + fault);
  }
  return leaks;
}

std::vector<std::string> LeakCheck::in_records(const fs::path& file, const fs::path& images,
                                               size_t most) const {
  std::vector<std::string> leaks;
  for_each_unified(file, [&](UnifiedRecord&& record) {
    if (leaks.size() >= most) return;
    std::string fault = fault_of_picture(record.img_path, images);
    if (fault.empty()) fault = fault_of_texts(record.fine);
    if (!fault.empty()) {
      leaks.push_back(file.string() + ": idx " + std::to_string(record.idx) + ": " + fault);
    }
  });
  return leaks;
}

}  // namespace finer::data
