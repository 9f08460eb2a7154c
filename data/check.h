#pragma once

#include "finer/text/conversation.h"
#include "finer/text/tokenizer.h"

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace finer::data {

/// What a file of conversations is held against.
struct CheckOptions {
  std::optional<std::filesystem::path> images;  // not given: pictures are not looked for
  bool decodes_pictures = false;                // every pixel is read, too
  const Tokenizer* tokenizer = nullptr;         // null: lengths are not looked at
  ConversationKind conversation = ConversationKind::kVicunaV1;
  int64_t image_positions = 576;  // positions a picture takes: LLaVA-1.5 at 336 pixels
  int64_t max_tokens = 0;         // longer samples are faults; 0: no limit
  int64_t threads = 1;            // their number changes nothing in the result
};

enum class FaultKind {
  kStructure,  // JSON, keys, roles, picture marks
  kTurns,      // nothing to answer, an empty turn, a question without an answer
  kPicture,    // missing, outside of the folder, unreadable
  kNoTarget,   // no token to learn
  kTooLong,
};
inline constexpr std::array<const char*, 5> kFaultNames = {"structure or marks", "turns",
                                                           "pictures", "no target", "too long"};

struct SampleFault {
  int64_t index = 0;
  FaultKind kind = FaultKind::kStructure;
  std::string text;  // "FILE: record I (id X): reason"
};

struct CheckReport {
  int64_t samples = 0, with_picture = 0;
  std::array<int64_t, kFaultNames.size()> faults = {};
  int64_t faulty_samples = 0;
  int64_t ids_twice = 0;              // samples whose id was there before; no fault
  std::vector<int32_t> turns;         // of each sample that could be read, ascending
  std::vector<int64_t> tokens;        // the same, with the picture's positions; needs the tokenizer
  int64_t label_tokens = 0;           // targets of all
  std::vector<SampleFault> examples;  // the first ten by index
};

/// Reads every sample of a LLaVA, ShareGPT or chat file (data/record.h) as the trainer would.
/// Throws: DataError where the file itself is at fault: missing, cut short, no JSON.
CheckReport check_file(const std::filesystem::path& file, const CheckOptions& options,
                       const std::function<void(const std::string&)>& status);

/// The report as lines of text.
std::vector<std::string> check_table(const CheckReport& report);

}  // namespace finer::data
