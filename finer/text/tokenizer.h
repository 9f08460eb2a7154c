#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace finer {

/// An id and the byte of the text at which its piece starts.
struct TokenPlace {
  int64_t id = 0;
  size_t begin = 0;
};

/// SentencePiece tokenizer that answers like the slow Llama tokenizer of transformers in legacy
/// mode, which is what LLaVA's and Vicuna's published weights were trained with.
///
/// Added tokens (tokenizer_settings.h says from which files) are split off before the pieces are
/// encoded, as there; "</s>" and "<s>" in the text become their ids. Each run of text between two
/// of them is encoded as if it stood alone, so it gets SentencePiece's blank in front of its first
/// word: "a</s>b" is [_a][</s>][_b]. A `legacy` key in a config is not read.
///
/// Threads: encode and decode are const and may be called from many threads.
/// Source: transformers 4.57, `LlamaTokenizer` with legacy=True.
class Tokenizer {
 public:
  /// path: a model directory with `tokenizer.model` (and optional config files), or a SentencePiece
  ///       file, which has "<s>", "</s>" and "<unk>" only.
  /// Throws: DataError naming the file and what is wrong with it.
  static Tokenizer load(const std::filesystem::path& path);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Ids of the text, without BOS or EOS. Bytes that are no UTF-8 are read as U+FFFD.
  std::vector<int64_t> encode(std::string_view text) const;
  /// The same ids with their places, which never decrease (byte pieces of a character share one).
  std::vector<TokenPlace> encode_with_places(std::string_view text) const;
  /// Text of the ids; special tokens are left out when asked, unknown ids (such as -200) always.
  std::string decode(const std::vector<int64_t>& ids, bool skip_special = true) const;

  int64_t bos_id() const;
  int64_t eos_id() const;
  /// One more than the highest id it can give: rows that an embedding needs.
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
