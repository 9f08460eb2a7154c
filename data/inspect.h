#pragma once

#include "data/loader.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace finer::data {

/// How targets are shown: in [[double brackets]], or bold and green by terminal codes.
enum class MarkTargets { kBrackets, kTerminal };

/// A stretch of a sample's text that is a target throughout, or is not. The picture is one of its
/// own, with the text "<image>".
struct TextRun {
  std::string text;
  bool is_target = false;
  bool is_image = false;
};

/// The first `count` tokens as text, as they were tokenized.
std::vector<TextRun> text_runs(const Tokenizer& tokenizer, const TokenizedSample& tokens,
                               size_t count);

/// The same of a sample that is not tokenized: its turns, with their roles; answers are targets.
std::vector<TextRun> turn_runs(const Sample& sample);

/// Runs as one text, targets marked, control characters escaped.
std::string marked_text(const std::vector<TextRun>& runs, MarkTargets marks);

/// The sample `number`, counted through the sets in their order.
/// Throws: DataError naming how many there are.
SampleRef find_sample(const SampleSource& source, int64_t number);

/// One sample for a reader: where it is, its picture, its tokens, what the recipe's policies do
/// with it, and its text as it was tokenized, with the targets marked. Control characters of the
/// text are escaped. Throws: DataError where the record cannot be parsed or tokenized; other faults
/// are part of the text.
std::string describe_sample(const SampleSource& source, const DataConfig& config,
                            const InputSpec& spec, const Tokenizer& tokenizer, const SampleRef& ref,
                            MarkTargets marks);

}  // namespace finer::data
