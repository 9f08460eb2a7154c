#include "finer/text/tokenizer_settings.h"

#include "finer/core/error.h"
#include "finer/core/quote.h"
#include "finer/core/rng.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

namespace finer {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr uint64_t kMaxJsonBytes = 64ull
                                   << 20;  // the largest published tokenizer.json is about 20 MB

[[noreturn]] void fail_in(const fs::path& file, const std::string& what) {
  throw DataError(file.string() + ": " + what);
}

// A JSON file with its path, for messages.
struct Document {
  fs::path file;
  Json root;
};

std::optional<Document> read_if_there(const fs::path& file, uint64_t& hash) {
  std::error_code ignored;
  if (!fs::exists(file, ignored)) return std::nullopt;
  const std::string bytes = read_tokenizer_file(file, kMaxJsonBytes);
  hash = hash_bytes(bytes, hash_bytes(file.filename().string(), hash));
  Document document{file, Json::parse(bytes, nullptr, /*allow_exceptions=*/false)};
  if (!document.root.is_object()) fail_in(file, "is not a JSON object; fetch the file again");
  return document;
}

bool flag_of(const Document& document, const Json& object, const std::string& key,
             const std::string& where) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return false;
  if (!found->is_boolean()) fail_in(document.file, where + "." + key + ": expected true or false");
  return found->get<bool>();
}

// {"content": ..., "lstrip": ..., ...}, without an id.
AddedToken token_of(const Document& document, const Json& object, const std::string& where) {
  if (!object.is_object() || !object.contains("content") || !object["content"].is_string()) {
    fail_in(document.file, where + ": expected an object with \"content\"");
  }
  AddedToken token;
  token.text = object["content"].get<std::string>();
  token.strips_before = flag_of(document, object, "lstrip", where);
  token.strips_after = flag_of(document, object, "rstrip", where);
  if (flag_of(document, object, "single_word", where)) {
    fail_in(document.file, where + ": " + quote(token.text) +
                               " has single_word: true, which is not supported; set it to false");
  }
  return token;
}

int64_t checked_id(const Document& document, int64_t id, const std::string& where) {
  if (id < 0 || id > std::numeric_limits<int32_t>::max()) {
    fail_in(document.file, where + ": id " + std::to_string(id) + " is out of range");
  }
  return id;
}

int64_t id_of(const Document& document, const Json& value, const std::string& where) {
  if (!value.is_number_integer() ||
      (value.is_number_unsigned() &&
       value.get<uint64_t>() > uint64_t(std::numeric_limits<int32_t>::max()))) {
    fail_in(document.file, where + ": expected an id, found " + quote(value.dump()));
  }
  return checked_id(document, value.get<int64_t>(), where);
}

void put(TokenizerSettings& settings, AddedToken token, int64_t id) {
  if (token.text.empty()) return;
  token.id = id;
  settings.added[id] = std::move(token);
}

// tokenizer_config.json's own table, from id (as a string) to token.
void read_decoder_table(const Document& config, TokenizerSettings& settings) {
  const auto& table = config.root["added_tokens_decoder"];
  if (!table.is_object()) fail_in(config.file, "added_tokens_decoder: expected an object");
  for (const auto& [key, value] : table.items()) {
    const std::string where = "added_tokens_decoder." + quote(key);
    int64_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size()) {
      fail_in(config.file, where + ": expected an id");
    }
    put(settings, token_of(config, value, where), checked_id(config, id, where));
  }
}

// added_tokens.json, from text to id.
void read_added_file(const Document& document, TokenizerSettings& settings) {
  for (const auto& [text, id] : document.root.items()) {
    put(settings, AddedToken{text}, id_of(document, id, quote(text)));
  }
}

// tokenizer.json's list.
void read_fast_file(const Document& document, TokenizerSettings& settings) {
  const auto found = document.root.find("added_tokens");
  if (found == document.root.end()) return;
  if (!found->is_array()) fail_in(document.file, "added_tokens: expected a list");
  for (size_t i = 0; i < found->size(); ++i) {
    const std::string where = "added_tokens[" + std::to_string(i) + "]";
    const auto& entry = (*found)[i];
    auto token = token_of(document, entry, where);
    if (!entry.contains("id")) fail_in(document.file, where + ": has no id");
    put(settings, std::move(token), id_of(document, entry["id"], where));
  }
}

constexpr const char* kAdditional = "additional_special_tokens";
constexpr const char* kRoles[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                  "pad_token", "cls_token", "mask_token"};

// Special tokens while they are collected: a role without an entry is unset.
using SpecialByRole = std::map<std::string, std::vector<SpecialToken>>;

SpecialToken special_of(const Document& document, const std::string& role, const Json& value) {
  if (value.is_string()) return {role, AddedToken{value.get<std::string>()}, false};
  if (value.is_object()) return {role, token_of(document, value, role), true};
  fail_in(document.file, role + ": expected a text or an object with \"content\"");
}

void read_special(const Document& document, SpecialByRole& special) {
  for (const char* role : kRoles) {
    const auto found = document.root.find(role);
    if (found == document.root.end()) continue;
    special[role].clear();
    if (!found->is_null()) special[role].push_back(special_of(document, role, *found));
  }
  const auto found = document.root.find(kAdditional);
  if (found != document.root.end() && !found->is_null()) {
    if (!found->is_array()) {
      fail_in(document.file, std::string(kAdditional) + ": expected a list");
    }
    for (const auto& value : *found) {
      special[kAdditional].push_back(special_of(document, kAdditional, value));
    }
  }
  // Roles of a model's own ("image_token"): texts that count as special.
  const auto extra = document.root.find("extra_special_tokens");
  if (extra != document.root.end() && extra->is_object()) {
    for (const auto& [role, value] : extra->items()) {
      special["extra"].push_back(special_of(document, role, value));
    }
  }
}

void refuse_what_is_not_supported(const Document& config) {
  if (flag_of(config, config.root, "split_special_tokens", "tokenizer_config")) {
    fail_in(config.file, "split_special_tokens: true is not supported; set it to false");
  }
  const auto found = config.root.find("tokenizer_class");
  if (found == config.root.end() || !found->is_string()) return;
  std::string name = found->get<std::string>(), lower = name;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return c < 128 ? std::tolower(c) : c; });
  const bool says_nothing = name == "PreTrainedTokenizerFast" || name == "TokenizersBackend";
  if (lower.find("llama") == std::string::npos && !says_nothing) {
    fail_in(config.file, "tokenizer_class: " + quote(name) +
                             " is not supported; expected \"LlamaTokenizer\", the SentencePiece "
                             "tokenizer of LLaMA, Vicuna and LLaVA");
  }
}

}  // namespace

std::string read_tokenizer_file(const fs::path& file, uint64_t max_bytes) {
  std::error_code error;
  if (!fs::is_regular_file(file, error)) fail_in(file, "no such file");
  const auto bytes = fs::file_size(file, error);
  if (error) fail_in(file, "cannot be read: " + error.message());
  if (bytes > max_bytes) {
    fail_in(file, "has " + std::to_string(bytes) + " bytes, more than the " +
                      std::to_string(max_bytes) + " a tokenizer file may have");
  }
  std::ifstream in(file, std::ios::binary);
  std::string content(bytes, '\0');
  if (!in.read(content.data(), static_cast<std::streamsize>(bytes))) {
    fail_in(file, "cannot be read");
  }
  return content;
}

TokenizerSettings default_tokenizer_settings() {
  TokenizerSettings settings;
  settings.special = {{"bos_token", AddedToken{"<s>"}, true, true},
                      {"eos_token", AddedToken{"</s>"}, true, true},
                      {"unk_token", AddedToken{"<unk>"}, true, true}};
  return settings;
}

TokenizerSettings read_tokenizer_settings(const fs::path& directory) {
  TokenizerSettings settings;
  SpecialByRole special;

  bool added_flags_win = false;  // the table of added tokens came with flags
  const auto config = read_if_there(directory / "tokenizer_config.json", settings.content_hash);
  if (config) {
    refuse_what_is_not_supported(*config);
    read_special(*config, special);
    if (config->root.contains("add_prefix_space")) {
      settings.drops_first_blank =
          flag_of(*config, config->root, "add_prefix_space", "tokenizer_config");
    }
    settings.cleans_up =
        flag_of(*config, config->root, "clean_up_tokenization_spaces", "tokenizer_config");
  }
  if (config && config->root.contains("added_tokens_decoder")) {
    read_decoder_table(*config, settings);
    added_flags_win = true;
  } else {
    const auto read = [&](const char* name) {
      return read_if_there(directory / name, settings.content_hash);
    };
    if (const auto map = read("special_tokens_map.json")) read_special(*map, special);
    if (const auto added = read("added_tokens.json")) read_added_file(*added, settings);
    if (const auto fast = read("tokenizer.json")) {
      read_fast_file(*fast, settings);
      added_flags_win = true;
    }
  }

  // A role that no file names is the tokenizer class's own, and so are its flags.
  for (auto& entry : default_tokenizer_settings().special) {
    if (special.count(entry.role) == 0) special[entry.role] = {entry};
  }
  const auto take = [&](const std::string& role, bool own_flags_count) {
    for (auto& entry : special[role]) {
      entry.overrides_flags = entry.overrides_flags && (own_flags_count || entry.is_default);
      if (!entry.token.text.empty()) settings.special.push_back(entry);
    }
  };
  for (const char* role : kRoles) take(role, !added_flags_win);
  take(kAdditional, true);
  take("extra", false);
  return settings;
}

}  // namespace finer
