#pragma once

#include "finer/text/added_tokens.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace finer {

/// A special token by its role in the config ("bos_token", ..., "additional_special_tokens").
struct SpecialToken {
  std::string role;
  AddedToken token;              // without an id
  bool overrides_flags = false;  // its strip flags win over those of an added token with its text
  bool is_default = false;       // the tokenizer class's own; no file names the role
};

/// What stands beside `tokenizer.model` in a model directory. The defaults are those of a bare
/// model file.
struct TokenizerSettings {
  std::map<int64_t, AddedToken> added;
  std::vector<SpecialToken>
      special;  // bos, eos, unk, sep, pad, cls, mask, additional: ids are given in this order
  bool drops_first_blank = true;  // `add_prefix_space`, which slow tokenizers heed in decoding only
  bool cleans_up = false;         // `clean_up_tokenization_spaces`
  uint64_t content_hash = 0;      // of the files read; 0 for none
};

/// The settings of a bare SentencePiece file: "<s>", "</s>" and "<unk>".
TokenizerSettings default_tokenizer_settings();

/// Reads a directory the way transformers 4.57 does: with `added_tokens_decoder` in
/// tokenizer_config.json that file says all; without it special_tokens_map.json overrides its
/// special tokens, and added_tokens.json and the `added_tokens` of tokenizer.json give the added
/// ones.
///
/// Throws: DataError naming the file and the key.
TokenizerSettings read_tokenizer_settings(const std::filesystem::path& directory);

/// The whole file. Throws: DataError when it is missing, no regular file, or larger than max_bytes.
std::string read_tokenizer_file(const std::filesystem::path& file, uint64_t max_bytes);

}  // namespace finer
