#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace finer {

/// SentencePiece tokenizer that answers like the slow Llama tokenizer of transformers in legacy mode,
/// which is what LLaVA's and Vicuna's published weights were trained with.
///
/// Added tokens (`added_tokens.json`, `added_tokens_decoder` and special tokens in `tokenizer_config.json`,
/// `<image>` of llava-hf) are split off before the pieces are encoded, as there. "</s>" and "<s>" in the text
/// become their ids.
///
/// Threads: encode and decode are const and may be called from many threads.
class Tokenizer {
 public:
  /// path: a model directory with `tokenizer.model` (and optional tokenizer_config.json,
  ///       added_tokens.json, special_tokens_map.json), or a SentencePiece file.
  /// Throws: DataError naming the file and what is wrong with it.
  static Tokenizer load(const std::filesystem::path& path);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Ids of the text, without BOS or EOS.
  std::vector<int64_t> encode(std::string_view text) const;
  /// Text of the ids; special tokens are left out when asked. Unknown ids (such as -200) are left out.
  std::string decode(const std::vector<int64_t>& ids, bool skip_special = true) const;

  int64_t bos_id() const;
  int64_t eos_id() const;
  /// Number of ids it can give: pieces and added tokens.
  int64_t vocab_size() const;
  /// Hash of the files it was made from.
  uint64_t content_hash() const;
  /// The file the pieces came from (for messages and for export).
  const std::filesystem::path& model_file() const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace finer
