#pragma once

#include "data/world/concepts.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace finer::data {

/// The pools that pictures are drawn for; only the first two are ever trained on.
enum class Pool { kSpecimens, kTrain, kKnownTest, kHeldOutTest, kProbeTrain, kProbeTest };
inline constexpr size_t kNumPools = 6;
/// "specimens", "train", "known-test", ...: also the folder under pictures/.
std::string pool_name(Pool pool);

/// One line of pictures.jsonl: what a picture shows.
struct PictureEntry {
  std::string path;  // relative to the world's folder
  Pool pool = Pool::kSpecimens;
  size_t kind = 0;  // index into coarse_kinds()
  Combination values{};
  std::optional<std::string> name;  // of the concept; specimens have none
  uint64_t hash = 0;                // hash_bytes of the file
};
std::string picture_line(const PictureEntry& entry);

/// Finds held-out pictures in training files, by file, by content and by combination: what makes a
/// held-out score worth reading.
class LeakCheck {
 public:
  /// Reads a world's concepts.json and pictures.jsonl. Throws: DataError with file and reason.
  static LeakCheck load(const std::filesystem::path& world);

  /// A line a fault in a file of conversations (LLaVA JSON or JSONL), at most `most` of them. Of
  /// each record with a picture: it is one of the pools that are trained on, unchanged, not that of
  /// a held-out concept; and no turn names a held-out concept or tells its coarse group and
  /// attributes. Records without a picture are not looked at: the text of held-out concepts is
  /// trained on. images: what the records' pictures are relative to. Throws: DataError for a file
  /// that cannot be read.
  std::vector<std::string> in_conversations(const std::filesystem::path& file,
                                            const std::filesystem::path& images,
                                            size_t most = 20) const;

  /// The same of a file of unified records.
  std::vector<std::string> in_records(const std::filesystem::path& file,
                                      const std::filesystem::path& images, size_t most = 20) const;

 private:
  struct HeldOutConcept {
    std::string name, coarse, attributes;
  };
  // What is wrong with training on a picture; "" for nothing.
  std::string fault_of_picture(const std::string& path, const std::filesystem::path& images) const;
  std::string fault_of_texts(const std::vector<std::string>& texts) const;

  std::filesystem::path world_;
  std::vector<HeldOutConcept> held_out_;
  HeldOut combinations_;
  std::unordered_map<std::string, PictureEntry> by_path_;
  std::unordered_map<uint64_t, std::string> test_hashes_;  // to their paths
};

}  // namespace finer::data
