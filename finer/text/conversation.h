#pragma once

#include "finer/text/tokenizer.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace finer {

inline constexpr int64_t kImageToken = -200;   // the place of a picture in input_ids and labels
inline constexpr int64_t kIgnoreLabel = -100;  // no target here

/// kVicunaV1: the system text, "USER: ... ASSISTANT: ...</s>". kVicunaV1Bare: the same without the
/// system text, for models whose context is short. kPlain: LLaVA's pretraining form: picture,
/// caption, new line.
enum class ConversationKind { kVicunaV1, kVicunaV1Bare, kPlain };

/// The names that recipes use, in the order of the kinds.
const std::vector<std::string>& conversation_names();

/// One turn of a LLaVA conversation; `from` is "human" or "gpt".
struct Turn {
  std::string from;
  std::string value;
};

/// Ids and targets of one sample, aligned: labels[t] is input_ids[t] where it is a target,
/// kIgnoreLabel elsewhere; not shifted. A picture is one kImageToken in input_ids and labels hold
/// kIgnoreLabel there.
struct TokenizedSample {
  std::vector<int64_t> input_ids;
  std::vector<int64_t> labels;
};

/// Name in recipes to kind. Throws: DataError with the nearest name.
ConversationKind conversation_kind(const std::string& name);

/// Ids and labels in one pass: the text between pictures is encoded once, and a piece is a target
/// when it starts inside an answer. Nothing is counted back, so text that looks like a role name
/// cannot move the mask. Equal, id by id, to LLaVA-1.5's own preprocessing
/// (`preprocess_multimodal`, then `preprocess_v1` or `preprocess_plain`) wherever that does not
/// mis-count. As there, one leading gpt turn is dropped, and BOS comes first whatever the config
/// says.
///
/// has_image  true: exactly one human turn holds exactly one "<image>"; false: none does.
///            kPlain without a picture is one gpt turn, all of it a target.
/// Throws: DataError that starts with the place in the sample ("conversations[2].from: ..."), for
///         roles that do not alternate, empty values, a last question without an answer, picture
///         marks that disagree with has_image. The caller adds file and sample number.
/// Source: haotian-liu/LLaVA (v1.5), llava/train/train.py and llava/mm_utils.py.
TokenizedSample tokenize_conversation(const Tokenizer& tokenizer, ConversationKind kind,
                                      std::span<const Turn> turns, bool has_image);

/// Ids of a prompt that waits for an answer: `turns` ends with a human turn. What stands before an
/// answer in training, id by id. Throws: as above.
std::vector<int64_t> tokenize_prompt(const Tokenizer& tokenizer, ConversationKind kind,
                                     std::span<const Turn> turns, bool has_image);

}  // namespace finer
