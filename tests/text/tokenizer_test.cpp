#include "finer/text/tokenizer.h"

#include "finer/core/error.h"
#include "finer/core/rng.h"
#include "finer/text/span_cache.h"
#include "tests/text/golden.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <sstream>
#include <thread>

namespace {

using Catch::Matchers::Contains;
using finer::DataError;
using finer::Tokenizer;
using finer_test::golden_dir;
using finer_test::TempDir;

Tokenizer fixture() { return Tokenizer::load(golden_dir() / "llama.model"); }

std::string bytes_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::stringstream all;
  all << in.rdbuf();
  return all.str();
}

// What the files beside the fixture say, or the message that refuses them.
std::string refusal(const std::string& name, const std::string& content) {
  TempDir dir("refusal");
  dir.copy_model();
  dir.write(name, content);
  try {
    Tokenizer::load(dir.path());
  } catch (const DataError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("ids and decoded texts equal the slow Llama tokenizer's in legacy mode", "[text]") {
  const auto goldens = finer_test::read_golden("texts.json");
  for (const auto& golden : goldens["cases"]) {
    const std::string name = golden["name"];
    TempDir dir("golden");
    std::filesystem::path path = golden_dir() / golden["model"].get<std::string>();
    if (!golden["files"].is_null()) {
      dir.copy_model(golden["model"]);
      for (const auto& [file, content] : golden["files"].items()) dir.write(file, content.dump());
      path = dir.path();
    }
    const auto tokenizer = Tokenizer::load(path);
    CHECK(tokenizer.bos_id() == golden["bos_id"]);
    CHECK(tokenizer.eos_id() == golden["eos_id"]);
    CHECK(tokenizer.vocab_size() == golden["vocab_size"]);
    for (const auto& text : golden["texts"]) {
      INFO(name << ": " << text.dump());
      CHECK(tokenizer.encode(text["text"].get<std::string>()) ==
            text["ids"].get<std::vector<int64_t>>());
    }
    for (const char* list : {"texts", "drawn"}) {
      for (const auto& entry : golden[list]) {
        INFO(name << ": " << entry.dump());
        const std::string full = entry["decoded"];
        CHECK(tokenizer.decode(entry["ids"], false) == full);
        CHECK(tokenizer.decode(entry["ids"], true) == entry.value("without_special", full));
      }
    }
  }
}

TEST_CASE("each id has the place where its piece starts", "[text]") {
  const auto tokenizer = fixture();
  const std::string text = "USER: a\xf0\x9f\x90\xa6 b</s>It is";
  const auto places = tokenizer.encode_with_places(text);
  size_t last = 0;
  std::vector<int64_t> ids;
  for (const auto& place : places) {
    CHECK(place.begin >= last);
    CHECK(place.begin <= text.size());
    last = place.begin;
    ids.push_back(place.id);
  }
  CHECK(ids == tokenizer.encode(text));
  CHECK(places.front().begin == 0);
  const auto starts_at = [&](size_t begin) {
    size_t count = 0;
    for (const auto& place : places) count += place.begin == begin;
    return count;
  };
  CHECK(starts_at(text.find('\xf0')) == 4);  // one byte piece for each byte of the bird
  CHECK(starts_at(text.find("</s>")) == 1);
  CHECK(starts_at(text.find("It")) == 1);
}

TEST_CASE("bytes that are no UTF-8 are read as U+FFFD and never crash", "[text]") {
  const auto tokenizer = fixture();
  CHECK(tokenizer.encode("a\xff") == tokenizer.encode("a\xef\xbf\xbd"));
  CHECK(tokenizer.encode("\xe2\x82") == tokenizer.encode("\xef\xbf\xbd\xef\xbf\xbd"));
  finer::Rng rng(1);
  for (int i = 0; i < 2000; ++i) {
    std::string text(rng.below(40), ' ');
    for (auto& byte : text) byte = static_cast<char>(rng.next());
    if (i % 3 == 0) text.insert(rng.below(text.size() + 1), "</s>");
    for (const auto& place : tokenizer.encode_with_places(text)) {
      REQUIRE(place.id >= 0);
      REQUIRE(place.id < tokenizer.vocab_size());
      REQUIRE(place.begin <= text.size());
    }
  }
}

TEST_CASE("ids that no token has are left out of a decoded text", "[text]") {
  const auto tokenizer = fixture();
  auto ids = tokenizer.encode("a bird");
  ids.insert(ids.begin() + 1, {-200, -100, 640, int64_t(1) << 40});
  CHECK(tokenizer.decode(ids) == "a bird");
  CHECK(tokenizer.decode({}) == "");
}

TEST_CASE("many threads may encode at once", "[text]") {
  const auto tokenizer = fixture();
  const std::string text = "What kind of bird is shown in this image?</s>USER: 737";
  const auto expected = tokenizer.encode(text);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) wrong += tokenizer.encode(text) != expected;
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("texts that are kept, long ones and more than are kept encode alike", "[text]") {
  const auto tokenizer = fixture();
  std::string longer;
  while (longer.size() < 2 * finer::SpanCache::kMostBytes) longer += "a bird with a red beak ";
  const auto long_ids = tokenizer.encode(longer);
  const auto ids_of_7 = tokenizer.encode("bird 7");
  CHECK(long_ids.size() > 100);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < finer::SpanCache::kMostTexts / 2; ++i) {
        const auto text = "bird " + std::to_string(3 * i + t);
        const auto first = tokenizer.encode(text);
        wrong += tokenizer.encode(text) != first;
        wrong += i % 64 == 0 && tokenizer.encode(longer) != long_ids;
        wrong += tokenizer.encode("bird 7") != ids_of_7;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("the content hash follows every file that was read", "[text]") {
  TempDir dir("hash");
  dir.copy_model();
  const auto plain = Tokenizer::load(dir.path()).content_hash();
  CHECK(plain == Tokenizer::load(dir.path()).content_hash());
  dir.write("added_tokens.json", R"({"<image>": 640})");
  const auto added = Tokenizer::load(dir.path());
  CHECK(added.content_hash() != plain);
  CHECK(added.model_file() == dir.path() / "tokenizer.model");
  dir.write("added_tokens.json", R"({"<image>": 641})");
  CHECK(Tokenizer::load(dir.path()).content_hash() != added.content_hash());
}

TEST_CASE("a missing or broken model file is named with the fix", "[text]") {
  CHECK_THROWS_WITH(Tokenizer::load("/nowhere/at/all"), Contains("/nowhere/at/all: no such file"));
  TempDir dir("broken");
  CHECK_THROWS_WITH(Tokenizer::load(dir.path()), Contains("tokenizer.model: no such file"));
  dir.write("tokenizer.json", "{}");
  CHECK_THROWS_WITH(Tokenizer::load(dir.path()), Contains("has tokenizer.json but no"));
  dir.write("tokenizer.model", "");
  CHECK_THROWS_AS(Tokenizer::load(dir.path()), DataError);
  dir.write("tokenizer.model", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n");
  CHECK_THROWS_WITH(Tokenizer::load(dir.path()), Contains("is not a SentencePiece model"));
  const auto model = bytes_of(golden_dir() / "llama.model");
  dir.write("tokenizer.model", model.substr(0, model.size() / 2));
  CHECK_THROWS_AS(Tokenizer::load(dir.path()), DataError);
}

TEST_CASE("a normaliser's table that points outside itself is refused", "[text]") {
  const auto model = bytes_of(golden_dir() / "unigram.model");
  // The table: its array's size in bytes, little endian, then the array.
  const auto size_at = model.find(std::string("\x00\x04\x00\x00", 4));
  REQUIRE(size_at != std::string::npos);
  TempDir dir("table");
  const auto refused = [&](size_t at, char byte) {
    auto changed = model;
    changed[at] = byte;
    dir.write("m.model", changed);
    CHECK_THROWS_WITH(Tokenizer::load(dir.path() / "m.model"), Contains("points outside itself"));
  };
  refused(size_at + 1, '\x7f');      // the array would reach past the table
  refused(size_at + 4 + 3, '\x7f');  // the root's children would lie past the array
}

TEST_CASE("config files that cannot be meant are refused with file and key", "[text]") {
  CHECK_THAT(refusal("tokenizer_config.json", "{"), Contains("is not a JSON object"));
  CHECK_THAT(refusal("tokenizer_config.json", R"({"bos_token": 3})"), Contains("bos_token"));
  CHECK_THAT(refusal("tokenizer_config.json", R"({"bos_token": null})"),
             Contains("set bos_token to nothing"));
  CHECK_THAT(refusal("tokenizer_config.json", R"({"tokenizer_class": "GPT2Tokenizer"})"),
             Contains("tokenizer_class: \"GPT2Tokenizer\" is not supported"));
  CHECK_THAT(refusal("tokenizer_config.json", R"({"split_special_tokens": true})"),
             Contains("split_special_tokens"));
  CHECK_THAT(
      refusal("tokenizer_config.json", R"({"added_tokens_decoder": {"x": {"content": "a"}}})"),
      Contains("added_tokens_decoder.\"x\": expected an id"));
  CHECK_THAT(refusal("tokenizer_config.json", R"({"added_tokens_decoder": {"9": {}}})"),
             Contains("expected an object with \"content\""));
  CHECK_THAT(
      refusal("tokenizer_config.json", R"({"added_tokens_decoder": {"-4": {"content": "a"}}})"),
      Contains("id -4 is out of range"));
  CHECK_THAT(refusal("tokenizer_config.json",
                     R"({"added_tokens_decoder": {"9": {"content": "a", "single_word": true}}})"),
             Contains("single_word"));
  CHECK_THAT(refusal("added_tokens.json", R"({"<image>": 99999999999})"),
             Contains("expected an id"));
  CHECK_THAT(refusal("added_tokens.json", R"({"<image>": "640"})"), Contains("expected an id"));
  CHECK_THAT(refusal("special_tokens_map.json", R"({"additional_special_tokens": "x"})"),
             Contains("expected a list"));
  CHECK_THAT(refusal("tokenizer.json", R"({"added_tokens": [{"content": "x"}]})"),
             Contains("added_tokens[0]: has no id"));
}

TEST_CASE("a new special token never takes the id of another token", "[text]") {
  TempDir dir("taken");
  dir.copy_model();
  dir.write("added_tokens.json", R"({"<image>": 641})");
  dir.write("special_tokens_map.json", R"({"pad_token": "<pad>"})");
  CHECK_THROWS_WITH(Tokenizer::load(dir.path()), Contains("641, is taken by \"<image>\""));
}
