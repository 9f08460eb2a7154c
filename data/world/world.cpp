#include "data/world/world.h"

#include "data/json_text.h"
#include "data/unified.h"
#include "data/world/concepts.h"
#include "data/world/leaks.h"
#include "data/world/picture.h"
#include "data/world/pieces.h"
#include "data/world/png_file.h"
#include "data/world/wordings.h"
#include "finer/core/atomic_file.h"
#include "finer/core/error.h"
#include "finer/core/parallel.h"
#include "finer/core/quote.h"
#include "finer/core/rng.h"

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

namespace finer::data {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// To be raised when the same settings give other bytes, so that a world of before is not taken.
constexpr int kWorldVersion = 4;

constexpr uint64_t kPictureSeed = 301, kChatSeed = 303;
constexpr const char* kManifest = "world.json";

// A picture to draw. `number` counts within its pool, or within its concept's pictures there.
struct PictureJob {
  PictureEntry entry;
  uint64_t seed = 0;
};

uint64_t picture_seed(uint64_t seed, Pool pool, uint64_t owner, int64_t number) {
  const uint64_t of_pool = mix_seed(mix_seed(seed, kPictureSeed), static_cast<uint64_t>(pool));
  return mix_seed(mix_seed(of_pool, owner), static_cast<uint64_t>(number));
}

std::string padded(int64_t number, int digits) {
  char text[32];
  std::snprintf(text, sizeof text, "%0*lld", digits, static_cast<long long>(number));
  return text;
}

// One of thousands: whole or not at all is the whole folder's matter, so it is not synced by
// itself.
void write_plainly(const fs::path& path, const std::string& bytes) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) throw Error(path.string() + ": cannot be written: " + std::strerror(errno));
  try {
    write_all(fd, bytes.data(), bytes.size());
  } catch (const Error& error) {
    ::close(fd);
    throw Error(path.string() + ": cannot be written: " + error.what());
  }
  if (::close(fd) != 0) throw Error(path.string() + ": cannot be written: " + std::strerror(errno));
}

std::string record_line(const std::string& id, const std::string& image,
                        const std::vector<Turn>& turns) {
  std::string line = "{\"id\": ";
  append_json_string(line, id);
  if (!image.empty()) {
    line += ", \"image\": ";
    append_json_string(line, image);
  }
  line += ", \"conversations\": [";
  for (size_t i = 0; i < turns.size(); ++i) {
    line += i > 0 ? ", {\"from\": " : "{\"from\": ";
    append_json_string(line, turns[i].from);
    line += ", \"value\": ";
    append_json_string(line, turns[i].value);
    line += '}';
  }
  return line + "]}\n";
}

Json settings_json(const WorldSettings& settings) {
  return {{"seed", settings.seed},
          {"concepts", settings.concepts},
          {"held_out", settings.held_out},
          {"specimens", settings.specimens},
          {"train_pictures", settings.train_pictures},
          {"known_pictures", settings.known_pictures},
          {"held_out_pictures", settings.held_out_pictures},
          {"probe_pictures", settings.probe_pictures},
          {"side_px", settings.side_px},
          {"chats", settings.chats},
          {"vocab_size", settings.vocab_size}};
}

// Writes one world into an empty folder.
class WorldWriter {
 public:
  WorldWriter(const WorldSettings& settings, fs::path folder)
      : settings_(settings), folder_(std::move(folder)) {}

  void name_concepts();
  void draw_pictures(int64_t threads);
  void write_texts();
  void write_records();
  void check_leaks() const;
  WorldSummary write_manifest();

 private:
  const CoarseKind& kind_of(const Concept& species) const { return coarse_kinds()[species.kind]; }
  void list_pictures();
  void list_pool(Pool pool, const Concept& species, int64_t first, int64_t count);
  void write(const std::string& name, const std::string& bytes);
  void write_pool_records(const std::string& key, const std::string& split, Pool pool);

  WorldSettings settings_;
  fs::path folder_;
  std::vector<Concept> concepts_;
  std::map<std::string, const Concept*> by_name_;
  std::vector<PictureJob> jobs_;
  Json files_ = Json::object();  // name to {bytes, hash}
  int64_t num_plain_ = 0, num_questions_ = 0, num_chats_ = 0;
  double mean_name_pieces_ = 0;
};

void WorldWriter::write(const std::string& name, const std::string& bytes) {
  atomic_write(folder_ / name, bytes);
  files_[name] = {{"bytes", bytes.size()}, {"hash", hash_text(hash_bytes(bytes))}};
}

// Names and tokenizer hang together: no name may be a single token, or it would be a label and
// nothing to spell.
void WorldWriter::name_concepts() {
  constexpr int kAttempts = 20;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    concepts_ = draw_concepts(settings_.seed, settings_.concepts, settings_.held_out, attempt);
    const auto model = train_pieces(tokenizer_corpus(concepts_), settings_.vocab_size);
    std::vector<std::string> names;
    for (const auto& species : concepts_) names.push_back(species.name);
    const auto counts = count_pieces(model, names);
    if (*std::min_element(counts.begin(), counts.end()) < 2) continue;
    mean_name_pieces_ = 0;
    for (const auto count : counts) {
      mean_name_pieces_ += static_cast<double>(count) / static_cast<double>(counts.size());
    }
    for (const auto& species : concepts_) by_name_[species.name] = &species;
    fs::create_directories(folder_ / "tokenizer");
    write_tokenizer(folder_ / "tokenizer", model);
    files_["tokenizer/tokenizer.model"] = {{"bytes", model.size()},
                                           {"hash", hash_text(hash_bytes(model))}};
    return;
  }
  throw DataError("vocab_size " + std::to_string(settings_.vocab_size) +
                  " makes a single token of a whole name, also of other names; take a smaller one");
}

void WorldWriter::list_pool(Pool pool, const Concept& species, int64_t first, int64_t count) {
  for (int64_t i = first; i < first + count; ++i) {
    PictureJob job;
    job.entry.path =
        "pictures/" + pool_name(pool) + "/" + species.name + "-" + padded(i, 2) + ".png";
    job.entry.pool = pool;
    job.entry.kind = species.kind;
    job.entry.values = species.values;
    job.entry.name = species.name;
    job.seed = picture_seed(settings_.seed, pool, static_cast<uint64_t>(species.id), i);
    jobs_.push_back(std::move(job));
  }
}

void WorldWriter::list_pictures() {
  const auto held_out = held_out_combinations(concepts_);
  for (int64_t i = 0; i < settings_.specimens; ++i) {
    PictureJob job;
    const uint64_t seed = picture_seed(settings_.seed, Pool::kSpecimens, 0, i);
    Rng rng(seed);
    const auto specimen = draw_specimen(held_out, rng);
    job.entry.path = "pictures/" + pool_name(Pool::kSpecimens) + "/" + padded(i, 5) + ".png";
    job.entry.pool = Pool::kSpecimens;
    job.entry.kind = specimen.kind;
    job.entry.values = specimen.values;
    job.seed = mix_seed(seed, 1);
    jobs_.push_back(std::move(job));
  }
  const int64_t probe_test = settings_.probe_pictures / 4;
  for (const auto& species : concepts_) {
    if (species.is_held_out) {
      list_pool(Pool::kHeldOutTest, species, 0, settings_.held_out_pictures);
    } else {
      list_pool(Pool::kTrain, species, 0, settings_.train_pictures);
      list_pool(Pool::kKnownTest, species, 0, settings_.known_pictures);
    }
    list_pool(Pool::kProbeTrain, species, 0, settings_.probe_pictures - probe_test);
    list_pool(Pool::kProbeTest, species, 0, probe_test);
  }
}

void WorldWriter::draw_pictures(int64_t threads) {
  list_pictures();
  for (size_t i = 0; i < kNumPools; ++i) {
    fs::create_directories(folder_ / "pictures" / pool_name(static_cast<Pool>(i)));
  }
  for_each_parallel(jobs_.size(), threads, [this](size_t i) {
    auto& entry = jobs_[i].entry;
    Rng rng(jobs_[i].seed);
    const auto bytes =
        png_bytes(draw_picture(coarse_kinds()[entry.kind], entry.values, settings_.side_px, rng));
    entry.hash = hash_bytes(bytes);
    write_plainly(folder_ / entry.path, bytes);
  });
  std::string lines;
  for (const auto& job : jobs_) lines += picture_line(job.entry) + "\n";
  write("pictures.jsonl", lines);
}

void WorldWriter::write_texts() {
  write("templates.yaml", mixture_templates());
  std::string plain, questions, dialogues;
  for (const auto& species : concepts_) {
    for (int way = 0; way < kNumKnowledge; ++way) {
      const bool is_plain = way < kNumPlainKnowledge;
      (is_plain ? plain : questions) +=
          record_line(species.name + "-" + std::to_string(way), "", knowledge(species, way));
      ++(is_plain ? num_plain_ : num_questions_);
    }
    dialogues += record_line(species.name + "-told", "", told_dialogue(species));
  }
  write("text-plain.jsonl", plain);
  write("text.jsonl", questions);
  write("text-turns.jsonl", dialogues);

  // Of the four ways to begin, each chat about a specimen has another; which, is drawn.
  std::string visual;
  uint64_t number = 0;
  for (const auto& job : jobs_) {
    if (job.entry.pool != Pool::kSpecimens) continue;
    const auto order = permutation(4, mix_seed(mix_seed(settings_.seed, kChatSeed), number));
    for (int64_t chat = 0; chat < settings_.chats; ++chat) {
      const auto begin = order[static_cast<size_t>(chat)];
      visual += record_line(
          "specimen-" + padded(static_cast<int64_t>(number), 5) + "-" + std::to_string(chat),
          job.entry.path,
          description_chat({job.entry.kind, job.entry.values}, (begin & 1) != 0, (begin & 2) != 0));
      ++num_chats_;
    }
    ++number;
  }
  write("visual.jsonl", visual);
}

void WorldWriter::write_pool_records(const std::string& key, const std::string& split, Pool pool) {
  std::string lines;
  int64_t idx = 0;
  for (const auto& job : jobs_) {
    if (job.entry.pool != pool) continue;
    const Concept& species = *by_name_.at(*job.entry.name);
    UnifiedRecord record;
    record.idx = idx++;
    record.superordinate = kind_of(species).superordinate;
    record.coarse = {kind_of(species).coarse};
    record.fine = {species.name};
    record.img_path = job.entry.path;
    record.metadata = Json{{"class", species.id}, {"held_out", species.is_held_out}}.dump();
    lines += unified_line(record) + "\n";
  }
  write("records/unified-" + key + "-" + split + "-combined.jsonl", lines);
}

void WorldWriter::write_records() {
  fs::create_directories(folder_ / "records");
  write_pool_records("mini-known", "train", Pool::kTrain);
  write_pool_records("mini-known", "test", Pool::kKnownTest);
  write_pool_records("mini-held-out", "test", Pool::kHeldOutTest);
  write_pool_records("mini-probe", "train", Pool::kProbeTrain);
  write_pool_records("mini-probe", "test", Pool::kProbeTest);

  Json parsed = Json::array(), listed = Json::array();
  std::string classes;
  for (const auto& species : concepts_) {
    const auto& kind = kind_of(species);
    const auto phrases = attribute_phrases(kind, species.values);
    parsed.push_back({{"id", std::to_string(species.id)},
                      {"name", species.name},
                      {"attr_binomial", {{"required", phrases}, {"likely", Json::array()}}}});
    listed.push_back({{"id", species.id},
                      {"name", species.name},
                      {"superordinate", kind.superordinate},
                      {"coarse", kind.coarse},
                      {"attributes", phrases},
                      {"split", species.is_held_out ? "held-out" : "known"}});
    classes += std::to_string(species.id) + " " + species.name + "\n";
  }
  write("records/parsed-mini.json", parsed.dump(1) + "\n");
  write("records/classes.txt", classes);
  write("concepts.json", listed.dump(1) + "\n");
}

void WorldWriter::check_leaks() const {
  const auto check = LeakCheck::load(folder_);
  auto leaks = check.in_conversations(folder_ / "visual.jsonl", folder_);
  for (auto& leak :
       check.in_records(folder_ / "records/unified-mini-known-train-combined.jsonl", folder_)) {
    leaks.push_back(std::move(leak));
  }
  FINER_CHECK(leaks.empty(), "no held-out concept in what is trained on; " + leaks.front());
}

WorldSummary summary_of(const Json& manifest) {
  WorldSummary summary;
  const auto& counts = manifest.at("counts");
  summary.known = counts.at("known");
  summary.held_out = counts.at("held_out");
  summary.pictures = counts.at("pictures");
  summary.text_records = counts.at("text_records");
  summary.visual_records = counts.at("visual_records");
  summary.mean_name_pieces = counts.at("mean_name_pieces");
  return summary;
}

WorldSummary WorldWriter::write_manifest() {
  int64_t held_out = 0;
  for (const auto& species : concepts_) held_out += species.is_held_out;
  Json pools = Json::object();
  for (size_t i = 0; i < kNumPools; ++i) {
    const auto count = std::count_if(jobs_.begin(), jobs_.end(), [&](const PictureJob& job) {
      return job.entry.pool == static_cast<Pool>(i);
    });
    pools[pool_name(static_cast<Pool>(i))] = count;
  }
  Json concepts = Json::array();
  for (const auto& species : concepts_) {
    concepts.push_back({{"name", species.name},
                        {"coarse", kind_of(species).coarse},
                        {"attributes", joined(attribute_phrases(kind_of(species), species.values))},
                        {"split", species.is_held_out ? "held-out" : "known"}});
  }
  const Json manifest = {{"version", kWorldVersion},
                         {"settings", settings_json(settings_)},
                         {"counts",
                          {{"known", static_cast<int64_t>(concepts_.size()) - held_out},
                           {"held_out", held_out},
                           {"pictures", jobs_.size()},
                           {"pictures_by_pool", pools},
                           {"text_records", num_questions_ + num_plain_},
                           {"visual_records", num_chats_},
                           {"mean_name_pieces", mean_name_pieces_}}},
                         {"files", files_},
                         {"concepts", concepts}};
  atomic_write(folder_ / kManifest, manifest.dump(1) + "\n");
  return summary_of(manifest);
}

// The summary of a whole world of these settings; nothing where it is another, with why.
std::optional<WorldSummary> existing_world(const WorldSettings& settings, const fs::path& out,
                                           std::string& why) {
  std::ifstream in(out / kManifest, std::ios::binary);
  if (!in) {
    why = "has files but no " + std::string(kManifest);
    return std::nullopt;
  }
  const auto manifest = Json::parse(in, nullptr, /*allow_exceptions=*/false);
  try {
    if (manifest.at("settings") == settings_json(settings) &&
        manifest.at("version") == kWorldVersion) {
      return summary_of(manifest);
    }
    why = "holds a world of other settings or another version (seed " +
          manifest.at("settings").at("seed").dump() + ")";
  } catch (const Json::exception&) {
    why = "has a " + std::string(kManifest) + " that no world has";
  }
  return std::nullopt;
}

void check_settings(const WorldSettings& settings) {
  const auto in_range = [](const char* name, int64_t value, int64_t low, int64_t high) {
    if (value >= low && value <= high) return;
    throw DataError(std::string(name) + ": found " + std::to_string(value) + ", expected " +
                    std::to_string(low) + " to " + std::to_string(high));
  };
  in_range("specimens", settings.specimens, 1, 99999);
  in_range("train_pictures", settings.train_pictures, 1, 1000);
  in_range("known_pictures", settings.known_pictures, 1, 1000);
  in_range("held_out_pictures", settings.held_out_pictures, 1, 1000);
  in_range("probe_pictures", settings.probe_pictures, 4, 1000);
  in_range("side_px", settings.side_px, 16, 1024);
  in_range("chats", settings.chats, 1, 4);
  in_range("vocab_size", settings.vocab_size, 100, 4000);
}

}  // namespace

WorldSummary write_world(const WorldSettings& settings, const fs::path& out, Existing existing,
                         int64_t threads, const std::function<void(std::string_view)>& progress) {
  check_settings(settings);
  std::error_code error;
  fs::path target = out;
  if (!target.has_filename()) target = target.parent_path();  // "world/"
  const bool is_there = fs::exists(target, error) && !fs::is_empty(target, error);
  if (is_there) {
    std::string why = "is no folder";
    if (fs::is_directory(target, error)) {
      auto summary = existing_world(settings, target, why);
      if (summary && existing == Existing::kKeep) {
        summary->was_there = true;
        return *summary;
      }
    }
    const bool may_go = existing == Existing::kOverwrite && fs::exists(target / kManifest, error);
    if (!may_go) {
      throw DataError(target.string() + ": " + why + "; give another --out" +
                      (fs::exists(target / kManifest, error) ? ", or --overwrite" : ""));
    }
  }
  fs::path partial = target;
  partial += ".partial";
  fs::remove_all(partial, error);
  if (!fs::create_directories(partial, error)) {
    throw Error(partial.string() + ": cannot be made: " + error.message());
  }
  try {
    WorldWriter writer(settings, partial);
    progress("tokenizer");
    writer.name_concepts();
    progress("pictures");
    writer.draw_pictures(threads);
    progress("conversations");
    writer.write_texts();
    writer.write_records();
    progress("checking that nothing held out is trained on");
    writer.check_leaks();
    const auto summary = writer.write_manifest();
    fs::remove_all(target);
    fs::rename(partial, target);
    return summary;
  } catch (const fs::filesystem_error& fault) {
    fs::remove_all(partial, error);
    throw Error(fault.path1().string() + ": " + fault.code().message());
  } catch (...) {
    fs::remove_all(partial, error);
    throw;
  }
}

}  // namespace finer::data
