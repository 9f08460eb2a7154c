#include "finer/text/tokenizer.h"

#include "finer/core/error.h"
#include "finer/core/quote.h"
#include "finer/core/rng.h"
#include "finer/text/added_tokens.h"
#include "finer/text/model_check.h"
#include "finer/text/span_cache.h"
#include "finer/text/tokenizer_settings.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <map>
#include <set>
#include <system_error>
#include <unordered_map>
#include <utility>

namespace finer {

namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxModelBytes = 64ull << 20;
constexpr std::string_view kBlankMark = "\xe2\x96\x81";  // U+2581, SentencePiece's blank

bool starts_with_blank(std::string_view piece) {
  return piece.substr(0, kBlankMark.size()) == kBlankMark;
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
}

// Takes out blanks before punctuation and English endings (`clean_up_tokenization_spaces`).
void clean_up(std::string& text) {
  for (const char* mark : {".", "?", "!", ","}) replace_all(text, std::string(" ") + mark, mark);
  replace_all(text, " ' ", "'");
  for (const char* end : {"n't", "'m", "'s", "'ve", "'re"}) {
    replace_all(text, std::string(" ") + end, end);
  }
}

}  // namespace

struct Tokenizer::Impl {
  sentencepiece::SentencePieceProcessor pieces;
  AddedTokens added{{}};
  std::set<std::string, std::less<>> special;      // texts that decode leaves out when asked
  std::set<std::string, std::less<>> stand_alone;  // texts that decode sets apart with blanks
  std::unordered_map<int64_t, int64_t>
      added_id_of_piece;  // where an added token has a piece's text
  bool drops_first_blank = true;
  bool cleans_up = false;
  int64_t bos_id = -1, eos_id = -1, vocab_size = 0;
  uint64_t content_hash = 0;
  fs::path model_file;
  SpanCache spans;

  SpanCache::Tokens encode_span(std::string_view text);
  void load_pieces(const std::string& bytes);
  void add_tokens(const TokenizerSettings& settings);
  int64_t id_of_special(const TokenizerSettings& settings, const std::string& role) const;
  std::string join(std::vector<std::string> tokens) const;
};

void Tokenizer::Impl::load_pieces(const std::string& bytes) {
  check_sentencepiece_model(bytes, model_file);
  const auto status = pieces.LoadFromSerializedProto(bytes);
  if (!status.ok()) {
    throw DataError(model_file.string() +
                    ": is not a SentencePiece model: " + status.error_message());
  }
}

// Gives special tokens that no table names the id of their piece, or a new one after all others.
void Tokenizer::Impl::add_tokens(const TokenizerSettings& settings) {
  const int num_pieces = pieces.GetPieceSize();
  std::map<std::string, int64_t> id_of_text;
  for (int id = 0; id < num_pieces; ++id) {
    const auto found = settings.added.find(id);
    id_of_text[found == settings.added.end() ? pieces.IdToPiece(id) : found->second.text] = id;
  }
  auto by_id = settings.added;
  std::map<std::string, int64_t> added_ids;
  for (const auto& [id, token] : by_id) added_ids[token.text] = id_of_text[token.text] = id;

  auto next_id = static_cast<int64_t>(id_of_text.size());
  for (const auto& entry : settings.special) {
    if (!special.insert(entry.token.text).second) continue;  // named for an earlier role
    const auto known = added_ids.find(entry.token.text);
    if (known != added_ids.end() && !entry.overrides_flags) continue;
    const auto [vocab, is_new] = id_of_text.emplace(entry.token.text, next_id);
    next_id += is_new;
    AddedToken token = entry.token;
    token.id = added_ids[token.text] = vocab->second;
    const auto [place, is_free] = by_id.emplace(token.id, token);
    if (!is_free && place->second.text != token.text) {
      throw DataError(model_file.string() + ": " + entry.role + " " + quote(token.text) +
                      " has no id in the configs beside it and the next one, " +
                      std::to_string(token.id) + ", is taken by " + quote(place->second.text) +
                      "; give it an id in added_tokens.json");
    }
    place->second = token;
  }
  added = AddedTokens(std::move(by_id));
}

int64_t Tokenizer::Impl::id_of_special(const TokenizerSettings& settings,
                                       const std::string& role) const {
  for (const auto& entry : settings.special) {
    if (entry.role == role) return added.find(entry.token.text)->id;
  }
  throw DataError(model_file.string() + ": the configs beside it set " + role +
                  " to nothing; training needs one (\"<s>\" and \"</s>\" for LLaMA)");
}

std::string Tokenizer::Impl::join(std::vector<std::string> tokens) const {
  if (tokens.empty()) return "";
  if (drops_first_blank && starts_with_blank(tokens[0])) tokens[0].erase(0, kBlankMark.size());
  std::string text;
  std::vector<std::string> run;  // of pieces between special tokens
  const auto end_run = [&] {
    std::string decoded;
    // Fails only for pieces that no model has; those come from ids we looked up.
    if (!run.empty()) pieces.Decode(run, &decoded).IgnoreError();
    run.clear();
    text += decoded;
  };
  bool was_special = false;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (special.count(tokens[i])) {
      if (!was_special && i != 0) text += ' ';
      end_run();
      text += tokens[i];
      was_special = true;
    } else {
      if (was_special && i == 1 && drops_first_blank && !starts_with_blank(tokens[i])) text += ' ';
      run.push_back(std::move(tokens[i]));
      was_special = false;
    }
  }
  end_run();
  return text;
}

// Text without an added token.
SpanCache::Tokens Tokenizer::Impl::encode_span(std::string_view text) {
  if (auto known = spans.find(text)) return known;
  sentencepiece::ImmutableSentencePieceText encoded;
  const auto status = pieces.Encode(text, encoded.mutable_proto());
  if (!status.ok()) {
    throw DataError(model_file.string() + ": cannot encode a text: " + status.error_message());
  }
  const int unk = pieces.unk_id();
  auto tokens = std::make_shared<std::vector<TokenPlace>>();
  for (const auto& piece : encoded.pieces()) {
    int64_t id = piece.id();
    if (id == unk) {  // an unknown piece is its text, which may be an added token's
      const auto* token = added.find(piece.piece());
      id = token ? token->id : pieces.PieceToId(piece.piece());
    } else if (!added_id_of_piece.empty()) {
      const auto found = added_id_of_piece.find(id);
      if (found != added_id_of_piece.end()) id = found->second;
    }
    tokens->push_back({id, piece.begin()});
  }
  spans.keep(text, tokens);
  return tokens;
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::load(const fs::path& path) {
  std::error_code error;
  const bool is_directory = fs::is_directory(path, error);
  if (!is_directory && !fs::exists(path, error)) {
    throw DataError(path.string() +
                    ": no such file or directory; expected a model directory with "
                    "tokenizer.model, or a SentencePiece file");
  }
  auto impl = std::make_unique<Impl>();
  impl->model_file = is_directory ? path / "tokenizer.model" : path;
  if (is_directory && !fs::exists(impl->model_file, error) &&
      fs::exists(path / "tokenizer.json", error)) {
    throw DataError(path.string() +
                    ": has tokenizer.json but no tokenizer.model; copy tokenizer.model from the "
                    "language model it was made from");
  }
  const std::string bytes = read_tokenizer_file(impl->model_file, kMaxModelBytes);
  impl->load_pieces(bytes);
  const auto settings = is_directory ? read_tokenizer_settings(path) : default_tokenizer_settings();
  impl->add_tokens(settings);
  impl->drops_first_blank = settings.drops_first_blank;
  impl->cleans_up = settings.cleans_up;
  impl->content_hash = mix_seed(hash_bytes(bytes), settings.content_hash);
  impl->bos_id = impl->id_of_special(settings, "bos_token");
  impl->eos_id = impl->id_of_special(settings, "eos_token");

  const int num_pieces = impl->pieces.GetPieceSize();
  impl->vocab_size = num_pieces;
  for (const auto& [id, token] : impl->added.by_id()) {
    impl->vocab_size = std::max(impl->vocab_size, id + 1);
    const int piece = impl->pieces.PieceToId(token.text);
    if (impl->pieces.IdToPiece(piece) == token.text && piece != id) {
      impl->added_id_of_piece[piece] = id;
    }
    const bool is_additional =
        std::any_of(settings.special.begin(), settings.special.end(), [&](const auto& entry) {
          return entry.role == "additional_special_tokens" && entry.token.text == token.text;
        });
    if (!impl->special.count(token.text) || (is_additional && id >= num_pieces)) {
      impl->stand_alone.insert(token.text);
    }
  }
  return Tokenizer(std::move(impl));
}

std::vector<TokenPlace> Tokenizer::encode_with_places(std::string_view text) const {
  const auto& tokenizer = *impl_;
  std::vector<TokenPlace> places;
  for (const auto& span : tokenizer.added.split(text)) {
    if (span.token) {
      places.push_back({span.token->id, span.begin});
      continue;
    }
    const auto tokens = impl_->encode_span(text.substr(span.begin, span.end - span.begin));
    for (const auto& token : *tokens) places.push_back({token.id, span.begin + token.begin});
  }
  return places;
}

std::vector<int64_t> Tokenizer::encode(std::string_view text) const {
  const auto places = encode_with_places(text);
  std::vector<int64_t> ids(places.size());
  std::transform(places.begin(), places.end(), ids.begin(),
                 [](const TokenPlace& place) { return place.id; });
  return ids;
}

std::string Tokenizer::decode(const std::vector<int64_t>& ids, bool skip_special) const {
  const auto& tokenizer = *impl_;
  std::vector<std::string> parts, run;
  const auto end_run = [&] {
    if (run.empty()) return;
    auto joined = tokenizer.join(std::move(run));
    run.clear();
    if (!joined.empty()) parts.push_back(std::move(joined));
  };
  for (const int64_t id : ids) {
    std::string token;
    if (const auto* added = tokenizer.added.find(id)) {
      token = added->text;
    } else if (id >= 0 && id < tokenizer.pieces.GetPieceSize()) {
      token = tokenizer.pieces.IdToPiece(static_cast<int>(id));
    } else {
      continue;
    }
    if (skip_special && tokenizer.special.count(token)) continue;
    if (tokenizer.stand_alone.count(token)) {
      end_run();
      parts.push_back(std::move(token));
    } else {
      run.push_back(std::move(token));
    }
  }
  if (!run.empty()) parts.push_back(tokenizer.join(std::move(run)));

  std::string text;
  for (size_t i = 0; i < parts.size(); ++i) text += (i ? " " : "") + parts[i];
  if (tokenizer.cleans_up) clean_up(text);
  return text;
}

int64_t Tokenizer::bos_id() const { return impl_->bos_id; }
int64_t Tokenizer::eos_id() const { return impl_->eos_id; }
int64_t Tokenizer::vocab_size() const { return impl_->vocab_size; }
uint64_t Tokenizer::content_hash() const { return impl_->content_hash; }
const std::filesystem::path& Tokenizer::model_file() const { return impl_->model_file; }

}  // namespace finer
