#include "data/world/world.h"

#include "data/attributes.h"
#include "data/dataset.h"
#include "data/unified.h"
#include "data/world/leaks.h"
#include "data/world/pieces.h"
#include "data/world/wordings.h"
#include "finer/core/error.h"
#include "finer/image/decode.h"
#include "finer/text/conversation.h"
#include "finer/text/tokenizer.h"
#include "tests/data/scratch.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>

namespace finer::data {

namespace {

namespace fs = std::filesystem;

WorldSettings small_world(uint64_t seed = 5) {
  WorldSettings settings;
  settings.seed = seed;
  settings.specimens = 60;
  settings.train_pictures = 2;
  settings.known_pictures = 1;
  settings.held_out_pictures = 2;
  settings.probe_pictures = 4;
  return settings;
}

WorldSummary make(const WorldSettings& settings, const fs::path& out, int64_t threads = 2,
                  Existing existing = Existing::kKeep) {
  return write_world(settings, out, existing, threads, [](std::string_view) {});
}

std::string bytes_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::map<std::string, std::string> files_of(const fs::path& root) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (entry.is_regular_file()) {
      files[fs::relative(entry.path(), root).string()] = bytes_of(entry.path());
    }
  }
  return files;
}

// One world for the cases that only read it.
const fs::path& shared_world() {
  static const Scratch scratch;
  static const fs::path world = [] {
    make(small_world(), scratch.root() / "world");
    return scratch.root() / "world";
  }();
  return world;
}

void replace_in(const fs::path& file, const std::string& from, const std::string& to) {
  auto bytes = bytes_of(file);
  const auto at = bytes.find(from);
  REQUIRE(at != bytes.npos);
  std::ofstream(file, std::ios::binary) << bytes.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("the same seed gives the same bytes on any number of threads", "[world]") {
  const Scratch scratch;
  make(small_world(), scratch.root() / "one", 1);
  make(small_world(), scratch.root() / "four", 4);
  const auto one = files_of(scratch.root() / "one"), four = files_of(scratch.root() / "four");
  CHECK(one.size() == 60 + 108 * 3 + 27 * 2 + 135 * 4 + 3 + 7 + 8);
  CHECK(one == four);
  make(small_world(6), scratch.root() / "other");
  const auto other = files_of(scratch.root() / "other");
  for (const char* name : {"concepts.json", "text.jsonl", "visual.jsonl", "pictures.jsonl",
                           "tokenizer/tokenizer.model", "pictures/specimens/00000.png"}) {
    CAPTURE(name);
    CHECK(one.at(name) != other.at(name));
  }
}

TEST_CASE("more pictures change none of those that were there", "[world]") {
  const Scratch scratch;
  auto settings = small_world();
  settings.specimens = 70;
  settings.train_pictures = 3;
  make(settings, scratch.root() / "more");
  for (const auto& [name, bytes] : files_of(shared_world() / "pictures")) {
    CAPTURE(name);
    CHECK(bytes == bytes_of(scratch.root() / "more/pictures" / name));
  }
}

TEST_CASE("conversations and records read back as the trainer reads them", "[world]") {
  const auto& world = shared_world();
  const auto text = Dataset::open(world / "text.jsonl");
  const auto plain = Dataset::open(world / "text-plain.jsonl");
  const auto dialogues = Dataset::open(world / "text-turns.jsonl");
  const auto visual = Dataset::open(world / "visual.jsonl");
  CHECK(dialogues.size() == 135);
  CHECK(text.size() == 135 * 3);
  CHECK(plain.size() == 135 * 2);
  CHECK(visual.size() == 60 * 4);
  const auto tokenizer = Tokenizer::load(world / "tokenizer");
  const auto tokenize_all = [&](const Dataset& set, ConversationKind kind) {
    for (int64_t i = 0; i < set.size(); ++i) {
      const auto sample = set.read(i);
      const auto tokens =
          tokenize_conversation(tokenizer, kind, sample.turns, sample.image.has_value());
      REQUIRE(std::count(tokens.input_ids.begin(), tokens.input_ids.end(), 0) == 0);  // <unk>
    }
  };
  tokenize_all(text, ConversationKind::kVicunaV1Bare);
  tokenize_all(dialogues, ConversationKind::kVicunaV1Bare);
  for (int64_t i = 0; i < dialogues.size(); ++i) {
    const auto sample = dialogues.read(i);
    REQUIRE(sample.turns.size() == 6);
    CHECK_FALSE(sample.image.has_value());
    // told, repeated, asked about: the same attributes, then the name
    CHECK(sample.turns[0].value.find(sample.turns[3].value) != std::string::npos);
    CHECK(sample.turns[4].value.find(sample.turns[3].value) != std::string::npos);
    CHECK(sample.id == sample.turns[5].value + "-told");
  }
  tokenize_all(visual, ConversationKind::kVicunaV1Bare);
  tokenize_all(plain, ConversationKind::kPlain);

  const auto known = read_unified(world / "records/unified-mini-known-train-combined.jsonl");
  const auto held_out = read_unified(world / "records/unified-mini-held-out-test-combined.jsonl");
  CHECK(known.size() == 108 * 2);
  CHECK(held_out.size() == 27 * 2);
  const auto attributes = AttributeTable::load({world / "records/parsed-mini.json"});
  CHECK(attributes.concepts().size() == 135);
  for (const auto& record : held_out) {
    const auto image = decode_image(world / record.img_path);
    CHECK(image.width == 48);
    REQUIRE(attributes.find(record.fine) != nullptr);
    CHECK(attributes.find(record.fine)->required.size() == 5);
    CHECK(attributes.find(record.fine)->likely.empty());
  }
}

TEST_CASE("half of the descriptions follow a superordinate turn, half a coarse one", "[world]") {
  const auto visual = Dataset::open(shared_world() / "visual.jsonl");
  int64_t superordinate = 0, coarse = 0;
  for (int64_t i = 0; i < visual.size(); ++i) {
    const auto sample = visual.read(i);
    for (const auto& turn : sample.turns) {
      superordinate += turn.value.find(ask_superordinate()) != std::string::npos;
      coarse += turn.value.find("What kind of") != std::string::npos;
    }
    CHECK(sample.turns.back().value.starts_with("The "));
  }
  CHECK(superordinate * 2 == visual.size());
  CHECK(coarse * 2 == visual.size());
}

TEST_CASE("words are few tokens and every name is several", "[world]") {
  const auto& world = shared_world();
  const auto tokenizer = Tokenizer::load(world / "tokenizer");
  CHECK(tokenizer.vocab_size() == 300);
  CHECK(tokenizer.bos_id() == 1);
  CHECK(tokenizer.eos_id() == 2);
  const auto attributes = AttributeTable::load({world / "records/parsed-mini.json"});
  for (const auto& species : attributes.concepts()) {
    CAPTURE(species.name);
    CHECK(tokenizer.encode(species.name).size() >= 2);
    CHECK(tokenizer.decode(tokenizer.encode(species.name)) == species.name);
  }
  // A role name is one token, and the line break after the picture is none.
  const std::vector<Turn> turns = {
      {"human", "<image>\nWhat kind of bird is it?"},
      {"gpt", "owl"},
      {"human", ask_attributes()},
      {"gpt", "red body, striped body, blue wing, yellow beak, green tail"}};
  const auto sample =
      tokenize_conversation(tokenizer, ConversationKind::kVicunaV1Bare, turns, true);
  CHECK(sample.input_ids.size() == 1 + 1 + 1 + 7 + 1 + 1 + 1 + 1 + 7 + 1 + 14 + 1);
  // What an answer follows in training is what it follows when asked.
  const auto prompt =
      tokenize_prompt(tokenizer, ConversationKind::kVicunaV1Bare, std::span(turns).first(3), true);
  REQUIRE(prompt.size() < sample.input_ids.size());
  CHECK(std::equal(prompt.begin(), prompt.end(), sample.input_ids.begin()));
  CHECK(sample.labels[prompt.size()] == sample.input_ids[prompt.size()]);
  CHECK(tokenizer.decode({sample.input_ids.begin() + static_cast<long>(prompt.size()),
                          sample.input_ids.end()}) == turns[3].value);
}

TEST_CASE("a vocabulary that this text cannot fill is refused", "[world]") {
  const std::vector<std::string> lines(20, "a few words of text");
  CHECK_THROWS_WITH(train_pieces(lines, 2000), Catch::Contains("2000 pieces"));
  CHECK_THROWS_AS(train_pieces(lines, 8), DataError);
}

TEST_CASE("a world holds no leak", "[world]") {
  const auto& world = shared_world();
  const auto check = LeakCheck::load(world);
  CHECK(check.in_conversations(world / "visual.jsonl", world).empty());
  CHECK(check.in_conversations(world / "text.jsonl", world).empty());
  CHECK(check.in_records(world / "records/unified-mini-known-train-combined.jsonl", world).empty());
}

TEST_CASE("a held-out picture in a training file is found", "[world]") {
  const auto& world = shared_world();
  const Scratch scratch;
  const auto check = LeakCheck::load(world);
  const auto held_out = read_unified(world / "records/unified-mini-held-out-test-combined.jsonl");
  const auto known = read_unified(world / "records/unified-mini-known-train-combined.jsonl");
  const auto attributes = AttributeTable::load({world / "records/parsed-mini.json"});
  const auto leaks = [&](const std::string& image, const std::string& answer,
                         const fs::path& images) {
    const auto file = scratch.write(
        "train.jsonl", R"({"id": "a", "image": ")" + image +
                           R"(", "conversations": [{"from": "human", "value": "<image>\nQ"}, )" +
                           R"({"from": "gpt", "value": ")" + answer + "\"}]}\n");
    const auto found = check.in_conversations(file, images);
    return found.empty() ? std::string("(nothing)") : found.front();
  };
  using Catch::Contains;
  CHECK(leaks(known[0].img_path, "A good answer.", world) == "(nothing)");

  SECTION("by its file") {
    CHECK_THAT(leaks(held_out[0].img_path, "A.", world), Contains("kept for tests"));
    CHECK(check.in_records(world / "records/unified-mini-held-out-test-combined.jsonl", world)
              .size() == 20);
    CHECK(
        check.in_records(world / "records/unified-mini-probe-train-combined.jsonl", world).size() ==
        20);
  }
  SECTION("by its content under another name") {
    scratch.write(known[0].img_path, bytes_of(world / held_out[0].img_path));
    CHECK_THAT(leaks(known[0].img_path, "A.", scratch.root()),
               Contains("is " + held_out[0].img_path));
  }
  SECTION("by what it shows") {
    fs::copy(world, scratch.root() / "copy", fs::copy_options::recursive);
    // The manifest says that a known picture shows what a held-out one does.
    auto lines = bytes_of(world / "pictures.jsonl");
    const auto line_with = [&](const std::string& path) {
      const auto at = lines.find("{\"path\":\"" + path);
      return lines.substr(at, lines.find('\n', at) - at);
    };
    const auto part = [](const std::string& line) {
      const auto begin = line.find("\"coarse\""), end = line.find(",\"name\"");
      return line.substr(begin, end - begin);
    };
    const auto train = line_with("pictures/specimens/00000.png");
    auto forged = train;
    const auto shown = part(train);
    forged.replace(forged.find(shown), shown.size(), part(line_with(held_out[0].img_path)));
    replace_in(scratch.root() / "copy/pictures.jsonl", train, forged);
    const auto found =
        LeakCheck::load(scratch.root() / "copy").in_conversations(world / "visual.jsonl", world);
    REQUIRE(found.size() == 4);
    CHECK_THAT(found[0], Contains("held-out combination"));
  }
  SECTION("by what is said beside it") {
    const auto& name = held_out[0].fine[0];
    CHECK_THAT(leaks(known[0].img_path, name, world), Contains("names " + name));
    const auto told = joined(attributes.find({name})->required);
    CHECK_THAT(leaks(known[0].img_path, "The " + held_out[0].coarse[0] + " with " + told, world),
               Contains("describes " + name));
  }
  SECTION("so are pictures that nobody knows, changed ones and missing ones") {
    scratch.write("stray.png", "bytes");
    scratch.write(known[0].img_path, "other bytes");
    CHECK_THAT(leaks("stray.png", "A.", scratch.root()), Contains("none of this world's"));
    CHECK_THAT(leaks(known[0].img_path, "A.", scratch.root()), Contains("not what was drawn"));
    CHECK_THAT(leaks("missing.png", "A.", scratch.root()), Contains("cannot be opened"));
  }
}

TEST_CASE("a broken manifest is one clear line", "[world]") {
  const Scratch scratch;
  CHECK_THROWS_WITH(LeakCheck::load(scratch.root()), Catch::Contains("finer-data world"));
  for (const char* name : {"concepts.json", "pictures.jsonl"}) {
    fs::copy(shared_world() / name, scratch.root() / name);
  }
  replace_in(scratch.root() / "pictures.jsonl", "\"pool\":\"specimens\"", "\"pool\":\"specimen\"");
  CHECK_THROWS_WITH(LeakCheck::load(scratch.root()), Catch::Contains("pictures.jsonl:1: "));
}

TEST_CASE("what is in the way is kept, and said", "[world]") {
  const Scratch scratch;
  const auto out = scratch.root() / "world";
  CHECK_FALSE(make(small_world(), out).was_there);
  const auto time = fs::last_write_time(out / "world.json");
  const auto again = make(small_world(), out);
  CHECK(again.was_there);
  CHECK(again.pictures == 60 + 108 * 3 + 27 * 2 + 135 * 4);
  CHECK(fs::last_write_time(out / "world.json") == time);
  CHECK_THROWS_WITH(make(small_world(6), out),
                    Catch::Contains("seed 5") && Catch::Contains("--overwrite"));
  make(small_world(6), out, 2, Existing::kOverwrite);
  CHECK(make(small_world(6), out).was_there);
  scratch.write("mine/diary.txt", "words");
  CHECK_THROWS_AS(make(small_world(), scratch.root() / "mine", 2, Existing::kOverwrite), DataError);
  CHECK(fs::exists(scratch.root() / "mine/diary.txt"));
  auto settings = small_world();
  settings.chats = 5;
  CHECK_THROWS_WITH(make(settings, scratch.root() / "new"), Catch::Contains("chats: found 5"));
  CHECK_FALSE(fs::exists(scratch.root() / "new"));
}

}  // namespace finer::data
