#pragma once

#include <filesystem>
#include <string>

namespace finer::cli {

/// finer-eval score: scores predictions that were made anywhere.
struct ScoreFiles {
  std::filesystem::path records;      // unified records
  std::filesystem::path predictions;  // a line each: {"idx", "text", ...}
  std::string level;                  // high_coarse | coarse | fine
  std::filesystem::path per_sample;   // where a line a prediction is written; empty: nowhere
};

/// Prints {"level", "count", "em", "f1", ...} on stdout; notes go to stderr. A last line that a
/// kill cut short is left out, with a note. Several predictions of one idx each count, with a note:
/// that is what the authors' scoring does. Throws: DataError "FILE:LINE: reason".
void score_files(const ScoreFiles& files);

}  // namespace finer::cli
