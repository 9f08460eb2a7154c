#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace finer::data {

/// A SentencePiece model (BPE) made from lines of text, as the bytes of `tokenizer.model`: ids 0 to
/// 3 are <unk>, <s>, </s> and <pad> (never given to a text), 4 and 5 the role names with the blank
/// before them. Line breaks read as blanks. The same lines give the same bytes.
///
/// Throws: DataError when the lines hold too few different pieces, or too many letters, for
///         vocab_size.
std::string train_pieces(const std::vector<std::string>& lines, int64_t vocab_size);

/// How many pieces each text has. model: bytes of train_pieces.
std::vector<int64_t> count_pieces(const std::string& model, const std::vector<std::string>& texts);

/// Writes what a LLaMA tokenizer directory needs: tokenizer.model, tokenizer_config.json,
/// special_tokens_map.json.
void write_tokenizer(const std::filesystem::path& folder, const std::string& model);

}  // namespace finer::data
