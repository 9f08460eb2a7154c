#pragma once

#include "finer/text/conversation.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace finer::data {

/// One conversation, checked: human and gpt take turns; `<image>` stands in one turn exactly
/// when there is a picture.
struct Sample {
  std::string id;             // as in the file, numbers included; the index where the file has none
  bool id_is_number = false;  // what it was in the file, for writing it back
  std::optional<std::string> image;  // relative to the set's image root
  std::vector<Turn> turns;
};

/// Reads one record from its JSON text. Forms that are read:
/// - LLaVA / ShareGPT: {"id", "image"?, "conversations": [{"from": "human" | "gpt", "value"}]};
/// - chat: {"messages": [{"role": "user" | "assistant", "content"}]}; both key pairs and both role
/// names work in
///   both lists. `content` may be a list of {"type": "text"}, {"type": "image"} and {"type":
///   "image_url"} parts: it reads as the picture's mark, a line break, and the texts one after the
///   other;
/// - `image` (or `images`): a path, null, or a list of one path. Other keys are not looked at.
/// A system turn is refused: the conversation template brings its own. A first turn by gpt is kept
/// (tokenize_conversation leaves it out, as LLaVA's preprocess_v1 does; "plain" learns it).
///
/// Throws: DataError with the reason; the caller knows file and index.
Sample parse_sample(std::string_view json_text, int64_t index);

/// The record's id as far as it can be told from a faulty record, "" where it cannot: for messages.
std::string peek_id(std::string_view json_text);

/// The picture that a record names, in any of the ways parse_sample takes; "" where it names none
/// or is faulty. Where `image` is a path, reads no further than up to it, and checks nothing.
std::string peek_image(std::string_view json_text);

/// `root / relative`, refused when empty, absolute, with a NUL byte, or with a ".." in it. A link
/// that leads out of `root` is the user's own doing and is followed. Throws: DataError with the
/// reason.
std::filesystem::path resolve_inside(const std::filesystem::path& root,
                                     const std::string& relative);

}  // namespace finer::data
