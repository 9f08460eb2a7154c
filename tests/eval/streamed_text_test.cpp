#include "finer/eval/streamed_text.h"

#include "tests/tensors.h"

#include <catch2/catch.hpp>

namespace finer {

TEST_CASE("text that streams is whole characters, and together the text", "[eval]") {
  const auto tokenizer = Tokenizer::load(golden_path("text/llama.model"));
  // the emoji and the last sign are spelt in bytes
  const std::string text = "two  words\n\xF0\x9F\xA6\x9C and \xE2\x82\xAC\xF0\x9F\xA6\x9A";
  StreamedText stream(tokenizer);
  std::string shown;
  for (const int64_t id : tokenizer.encode(text)) {
    const auto piece = stream.add(id);
    if (!piece.empty()) {
      CHECK((static_cast<unsigned char>(piece[0]) & 0xC0) != 0x80);  // no character's middle
      CHECK(piece.find("\xEF\xBF\xBD") == std::string::npos);
    }
    shown += piece;
  }
  shown += stream.finish();
  CHECK(shown == text);
  CHECK(stream.ids() == tokenizer.encode(text));
}

TEST_CASE("blanks at the ends are not shown, a cut character is at the end", "[eval]") {
  const auto tokenizer = Tokenizer::load(golden_path("text/llama.model"));
  auto ids = tokenizer.encode(" a \n");
  StreamedText stream(tokenizer);
  std::string shown;
  for (const int64_t id : ids) shown += stream.add(id);
  CHECK(shown + stream.finish() == "a");

  ids = tokenizer.encode("\xF0\x9F\xA6\x9C");
  StreamedText cut(tokenizer);
  for (size_t i = 0; i + 1 < ids.size(); ++i) CHECK(cut.add(ids[i]).empty());
  CHECK(!cut.finish().empty());
}

TEST_CASE("an answer cannot steer the terminal", "[eval]") {
  CHECK(without_controls("a\x1b[2Jb\tc\n\x7f") == "a?[2Jb\tc\n?");
}

}  // namespace finer
