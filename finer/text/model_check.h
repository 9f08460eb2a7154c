#pragma once

#include <filesystem>
#include <string_view>

namespace finer {

/// Looks through the bytes of a SentencePiece model for what SentencePiece 0.1.97 believes unseen:
/// the table of its normaliser (a double array and the texts it points into), which it would follow
/// out of bounds.
///
/// Throws: DataError naming `file`, when the bytes are no such model or the table points outside
/// itself. Source: sentencepiece_model.proto (fields 3.2 and 5.2); S. Yata's darts-clone for the
/// double array.
void check_sentencepiece_model(std::string_view bytes, const std::filesystem::path& file);

}  // namespace finer
