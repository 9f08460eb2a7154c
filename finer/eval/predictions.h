#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace finer {

/// One round as it was held.
struct PredictedTurn {
  std::string ask;  // superordinate | coarse | attributes | fine
  std::string question;
  std::string answer;
};

/// What a model said about one record at one level: a line of a predictions file.
struct Prediction {
  int64_t idx = 0;       // of the record
  std::string text;      // the last answer
  std::string question;  // that it answers
  std::vector<PredictedTurn> turns;
  bool is_cut = false;  // the answer ended at max_new_tokens
  // Closed-set scoring: class names of the set by likelihood, best first, at most five.
  std::vector<std::string> ranked;
};

std::string prediction_line(const Prediction& prediction);  // without its line end
/// Throws: DataError with the reason.
Prediction parse_prediction(const std::string& line);

/// A file of predictions that grows line by line.
///
/// What a killed run left is kept: whole lines are read, a last one without its end is cut off. The
/// settings the answers depend on stand in a file beside it, and another run's answers are never
/// mixed in. One process at a time (flock).
class PredictionsFile {
 public:
  /// file      OUT/predictions/NAME.jsonl; made with its folders
  /// settings  name to value of all that answers depend on, kept in NAME.settings.json
  /// Throws: DataError for a broken line in the middle, an idx twice, settings that differ (which
  /// one, and what to do), or another process that writes the file.
  PredictionsFile(const std::filesystem::path& file,
                  const std::map<std::string, std::string>& settings);
  ~PredictionsFile();
  PredictionsFile(const PredictionsFile&) = delete;
  PredictionsFile& operator=(const PredictionsFile&) = delete;

  /// Predictions by idx, those of this run included.
  const std::map<int64_t, Prediction>& all() const { return all_; }
  bool has(int64_t idx) const { return all_.count(idx) > 0; }

  /// One write; fsync now and then. Throws: Error (disk full), DataError for an idx twice.
  void append(const Prediction& prediction);
  void sync();
  const std::filesystem::path& path() const { return path_; }

 private:
  void read_lines();

  std::filesystem::path path_;
  int fd_ = -1;
  int64_t unsynced_ = 0;
  std::map<int64_t, Prediction> all_;
};

}  // namespace finer
