#pragma once

#include "data/dataset.h"
#include "finer/text/conversation.h"
#include "finer/text/tokenizer.h"

#include <cstdint>
#include <functional>
#include <string_view>

namespace finer::data {

struct TokenCounts {
  int64_t samples = 0;
  int64_t tokens = 0;        // a picture counts as one
  int64_t label_tokens = 0;  // labels that are no kIgnoreLabel
};

/// The whole data set as tokens, a JSON line a sample in file order: {"id", "image"?, "input_ids",
/// "labels"}, not cut and not padded, the picture marked by one -200 in input_ids and -100 in
/// labels. `id` is a string or a number, as in the file.
///
/// threads: tokenize this many samples at a time; the lines do not depend on it.
/// write: gets whole lines, in order, from the calling thread.
/// Throws: DataError "FILE: record I (id X): reason" of the first faulty record, in order.
TokenCounts write_token_lines(const Dataset& dataset, const Tokenizer& tokenizer,
                              ConversationKind kind, int64_t threads,
                              const std::function<void(std::string_view)>& write);

}  // namespace finer::data
