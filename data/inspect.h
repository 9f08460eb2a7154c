#pragma once

#include "data/loader.h"

#include <cstdint>
#include <string>

namespace finer::data {

/// How targets are shown: in [[double brackets]], or bold and green by terminal codes.
enum class MarkTargets { kBrackets, kTerminal };

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
