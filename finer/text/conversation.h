#pragma once

#include "finer/text/tokenizer.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace finer {

inline constexpr int64_t kImageToken = -200;   // the place of a picture in input_ids and labels
inline constexpr int64_t kIgnoreLabel = -100;  // no target here

/// kVicunaV1: the system text, "USER: ... ASSISTANT: ...</s>". kPlain: LLaVA's pretraining form,
/// picture and caption.
enum class ConversationKind { kVicunaV1, kPlain };

/// One turn of a LLaVA conversation; `from` is "human" or "gpt".
struct Turn {
  std::string from;
  std::string value;
};

/// Ids and targets of one sample, aligned: labels[t] is input_ids[t] where it is a target,
/// kIgnoreLabel elsewhere; not shifted. A picture is one kImageToken in input_ids and labels hold
/// kIgnoreLabel there
struct TokenizedSample {
  std::vector<int64_t> input_ids;
  std::vector<int64_t> labels;
};

/// Name in recipes ("vicuna_v1", "plain") to kind. Throws: DataError with the nearest name.
ConversationKind conversation_kind(const std::string& name);

/// Ids and labels in one pass, segment by segment: nothing is ever counted back, so text that looks
/// like a role name cannot move the mask. Equal, id by id, to LLaVA-1.5's own preprocessing
/// (`preprocess_multimodal` + `preprocess_v1` / `preprocess_plain`) wherever that does not
/// mis-count.
///
/// has_image: false drops nothing: an "<image>" in a sample without a picture is a fault.
/// Throws: DataError (without file or index: the caller adds them) for wrong roles, an empty
/// conversation,
///         image marks that disagree with has_image.
TokenizedSample tokenize_conversation(const Tokenizer& tokenizer, ConversationKind kind,
                                      std::span<const Turn> turns, bool has_image);

/// Ids of a prompt that waits for an answer: `turns` ends with a human turn.
std::vector<int64_t> tokenize_prompt(const Tokenizer& tokenizer, ConversationKind kind,
                                     std::span<const Turn> turns, bool has_image);

}  // namespace finer
