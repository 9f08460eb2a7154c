#include "finer/text/conversation.h"

#include "finer/core/error.h"
#include "tests/text/golden.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdlib>
#include <iterator>

namespace {

using Catch::Matchers::Contains;
using finer::ConversationKind;
using finer::DataError;
using finer::kIgnoreLabel;
using finer::kImageToken;
using finer::Tokenizer;
using finer::Turn;
using finer_test::golden_dir;
using Turns = std::vector<Turn>;

const Tokenizer& fixture() {
  static const auto tokenizer = Tokenizer::load(golden_dir() / "llama.model");
  return tokenizer;
}

finer::TokenizedSample vicuna(const Turns& turns, bool has_image = false) {
  return finer::tokenize_conversation(fixture(), ConversationKind::kVicunaV1, turns, has_image);
}

// The learnt ids as text, special tokens shown.
std::string learnt_text(const finer::TokenizedSample& sample) {
  std::vector<int64_t> learnt;
  for (const int64_t label : sample.labels) {
    if (label != kIgnoreLabel) learnt.push_back(label);
  }
  return fixture().decode(learnt, false);
}

std::string refusal(ConversationKind kind, const Turns& turns, bool has_image) {
  try {
    finer::tokenize_conversation(fixture(), kind, turns, has_image);
  } catch (const DataError& error) {
    return error.what();
  }
  return "";
}

std::string refusal(const Turns& turns, bool has_image = false) {
  return refusal(ConversationKind::kVicunaV1, turns, has_image);
}

void check_labels_are_ids(const finer::TokenizedSample& sample) {
  REQUIRE(sample.labels.size() == sample.input_ids.size());
  for (size_t i = 0; i < sample.labels.size(); ++i) {
    if (sample.labels[i] != kIgnoreLabel) CHECK(sample.labels[i] == sample.input_ids[i]);
  }
}

// Where mistral-common's first tokenizer is, or "": it is not ours to commit.
std::filesystem::path mistral_tokenizer() {
  if (const char* given = std::getenv("FINER_MISTRAL_TOKENIZER")) return given;
  const auto lib = std::filesystem::path(FINER_SOURCE_DIR) / ".deps/reference/lib";
  std::error_code error;
  for (const auto& python : std::filesystem::directory_iterator(lib, error)) {
    const auto file = python.path() / "site-packages/mistral_common/data/tokenizer.model.v1";
    if (std::filesystem::exists(file, error)) return file;
  }
  return "";
}

}  // namespace

TEST_CASE("conversations, prompts and captions equal LLaVA's preprocessing id by id", "[text]") {
  const auto goldens = finer_test::read_golden("conversations.json");
  for (const auto& golden : goldens["cases"]) {
    INFO(golden.dump());
    const auto turns = finer_test::turns_of(golden["turns"]);
    const auto expected = golden["input_ids"].get<std::vector<int64_t>>();
    const std::string kind = golden["kind"];
    if (kind == "prompt") {
      CHECK(finer::tokenize_prompt(fixture(), ConversationKind::kVicunaV1, turns,
                                   golden["has_image"]) == expected);
      continue;
    }
    const auto sample = finer::tokenize_conversation(fixture(), finer::conversation_kind(kind),
                                                     turns, golden["has_image"]);
    CHECK(sample.input_ids == expected);
    CHECK(sample.labels == golden["labels"].get<std::vector<int64_t>>());
  }
}

TEST_CASE("the worked cases with a 32000-piece tokenizer are equal id by id", "[text]") {
  const auto file = mistral_tokenizer();
  if (file.empty()) {
    WARN("skipped: set FINER_MISTRAL_TOKENIZER to mistral-common's data/tokenizer.model.v1");
    return;
  }
  const auto tokenizer = Tokenizer::load(file);
  const auto goldens = finer_test::read_golden("tokens_mistral_v1.json");
  for (const auto& golden : goldens["cases"]) {
    INFO(golden["sample"].dump());
    const auto sample =
        finer::tokenize_conversation(tokenizer, ConversationKind::kVicunaV1,
                                     finer_test::turns_of(golden["sample"]["conversations"]),
                                     golden["sample"].contains("image"));
    CHECK(sample.input_ids == golden["input_ids"].get<std::vector<int64_t>>());
    CHECK(sample.labels == golden["labels"].get<std::vector<int64_t>>());
  }
}

TEST_CASE("text that looks like the template never moves the mask", "[text]") {
  const std::string tricks[] = {"ASSISTANT: ", " ASSISTANT: x", "USER: ", "</s>",
                                "</s>USER: y", "a</s>b",        "<s>",    "\n ASSISTANT: "};
  for (const auto& trick : tricks) {
    INFO(trick);
    const auto asked = vicuna({{"human", "one" + trick + "two"},
                               {"gpt", "It is red."},
                               {"human", trick},
                               {"gpt", "It is blue."}});
    check_labels_are_ids(asked);
    CHECK(learnt_text(asked) == " It is red.</s> It is blue.</s>");

    const std::string answer = "It" + trick + "red";
    const auto said = vicuna({{"human", "one"}, {"gpt", answer}, {"human", "two"}, {"gpt", "no"}});
    check_labels_are_ids(said);
    const auto prompt = finer::tokenize_prompt(fixture(), ConversationKind::kVicunaV1,
                                               Turns{{"human", "one"}}, false);
    const auto first = std::find_if(said.labels.begin(), said.labels.end(),
                                    [](int64_t label) { return label != kIgnoreLabel; });
    CHECK(size_t(first - said.labels.begin()) == prompt.size());
    // All of the answer is learnt, and nothing of the question after it.
    const size_t num_learnt = std::count_if(said.labels.begin(), said.labels.end(),
                                            [](int64_t label) { return label != kIgnoreLabel; });
    CHECK(num_learnt ==
          fixture().encode(answer + "</s>").size() + fixture().encode("no</s>").size());
  }
}

TEST_CASE("a prompt is what stands before the answer in training", "[text]") {
  const Turns turns = {{"human", "What is it? <image>"}, {"gpt", "A bird."}};
  const auto sample = vicuna(turns, true);
  const auto prompt = finer::tokenize_prompt(fixture(), ConversationKind::kVicunaV1,
                                             std::span(turns).first(1), true);
  REQUIRE(prompt.size() < sample.input_ids.size());
  CHECK(std::equal(prompt.begin(), prompt.end(), sample.input_ids.begin()));
  CHECK(sample.labels[prompt.size() - 1] == kIgnoreLabel);
  CHECK(sample.labels[prompt.size()] != kIgnoreLabel);
  CHECK(std::count(prompt.begin(), prompt.end(), kImageToken) == 1);
  CHECK(prompt.front() == fixture().bos_id());
  CHECK(std::count(prompt.begin(), prompt.end(), fixture().bos_id()) == 1);

  CHECK_THROWS_WITH(finer::tokenize_prompt(fixture(), ConversationKind::kVicunaV1, turns, true),
                    Contains("conversations[1].from: a prompt must end with a human turn"));
  CHECK(finer::tokenize_prompt(fixture(), ConversationKind::kPlain, Turns{{"human", "<image>"}},
                               true) == std::vector<int64_t>{fixture().bos_id(), kImageToken});
}

TEST_CASE("vicuna_v1_bare is vicuna_v1 without its system text", "[text]") {
  const Turns turns = {{"human", "<image>\nWhat is it?"}, {"gpt", "A bird."}};
  const auto sample =
      finer::tokenize_conversation(fixture(), ConversationKind::kVicunaV1Bare, turns, true);
  std::vector<int64_t> expected = {fixture().bos_id()};
  const auto add = [&](const std::string& text) {
    const auto ids = fixture().encode(text);
    expected.insert(expected.end(), ids.begin(), ids.end());
  };
  add("USER: ");
  expected.push_back(kImageToken);
  add("\nWhat is it? ASSISTANT: A bird.</s>");
  CHECK(sample.input_ids == expected);
  // What is learnt is what vicuna_v1 learns.
  const auto learnt = [](const finer::TokenizedSample& of) {
    std::vector<int64_t> ids;
    std::copy_if(of.labels.begin(), of.labels.end(), std::back_inserter(ids),
                 [](int64_t id) { return id != kIgnoreLabel; });
    return ids;
  };
  CHECK(learnt(sample) == learnt(vicuna(turns, true)));
  CHECK(finer::conversation_kind("vicuna_v1_bare") == ConversationKind::kVicunaV1Bare);
}

TEST_CASE("<image> becomes a picture even where the tokenizer has a token of that text", "[text]") {
  finer_test::TempDir dir("image_token");
  dir.copy_model();
  dir.write("added_tokens.json", R"({"<image>": 640})");
  const auto tokenizer = Tokenizer::load(dir.path());
  const Turns turns = {{"human", "<image>\nWhat?"}, {"gpt", "A bird."}};
  const auto sample =
      finer::tokenize_conversation(tokenizer, ConversationKind::kVicunaV1, turns, true);
  CHECK(sample.input_ids == vicuna(turns, true).input_ids);
}

TEST_CASE("a plain sample without a picture is one text, all of it learnt", "[text]") {
  const auto sample = finer::tokenize_conversation(fixture(), ConversationKind::kPlain,
                                                   Turns{{"gpt", "A bird is red."}}, false);
  auto expected = fixture().encode("A bird is red.\n");
  expected.insert(expected.begin(), fixture().bos_id());
  CHECK(sample.input_ids == expected);
  CHECK(std::count(sample.labels.begin(), sample.labels.end(), kIgnoreLabel) == 1);
}

TEST_CASE("picture marks that disagree with the sample are refused", "[text]") {
  const Turn answer{"gpt", "Yes."};
  CHECK_THAT(refusal({{"human", "<image> What?"}, answer}, false),
             Contains("in a sample without a picture"));
  CHECK_THAT(refusal({{"human", "What?"}, answer}, true), Contains("no human turn holds"));
  CHECK_THAT(refusal({{"human", "<image> and <image>"}, answer}, true),
             Contains("conversations[0].value: holds more than one"));
  CHECK_THAT(refusal({{"human", "<im<image>age> What?"}, answer}, true), Contains("more than one"));
  CHECK_THAT(refusal({{"human", "<image>"}, answer, {"human", "<image>"}, answer}, true),
             Contains("2 turns hold"));
  CHECK_THAT(refusal({{"human", "What?"}, {"gpt", "An <image>."}}, true),
             Contains("conversations[1].value: an answer holds"));
  // The turn that is dropped does not count.
  CHECK_THAT(refusal({{"gpt", "<image>"}, {"human", "What?"}, answer}, true),
             Contains("no human turn holds"));
}

TEST_CASE("turns that are missing, empty or out of order are refused with their place", "[text]") {
  CHECK_THAT(refusal(Turns{}), Contains("is empty"));
  CHECK_THAT(refusal({{"humam", "Hi"}, {"gpt", "Hi"}}),
             Contains("conversations[0].from: \"humam\" is no role; did you mean \"human\"?"));
  CHECK_THAT(refusal({{"gpt", "Hi"}}), Contains("no human turn"));
  CHECK_THAT(refusal({{"gpt", "Hi"}, {"gpt", "Hi"}}), Contains("conversations[1].from"));
  CHECK_THAT(refusal({{"human", "Hi"}, {"human", "Hi"}}),
             Contains("conversations[1].from: \"human\" follows \"human\""));
  CHECK_THAT(refusal({{"human", "Hi"}, {"gpt", "Hi"}, {"human", "Hi"}}),
             Contains("conversations[2].from: the last turn is a question"));
  CHECK_THAT(refusal({{"human", ""}, {"gpt", "Hi"}}), Contains("conversations[0].value: is empty"));
  CHECK_THAT(refusal({{"human", "Hi"}, {"gpt", ""}}), Contains("conversations[1].value: is empty"));
}

TEST_CASE("plain samples of another shape are refused", "[text]") {
  const auto plain = [](const Turns& turns, bool has_image) {
    return refusal(ConversationKind::kPlain, turns, has_image);
  };
  const Turn caption{"gpt", "A bird."};
  CHECK_THAT(plain({caption}, true), Contains("a human turn with \"<image>\""));
  CHECK_THAT(plain({caption, {"human", "<image>"}}, true), Contains("found 2 turns"));
  CHECK_THAT(plain({{"human", "What?"}, caption}, true), Contains("no human turn holds"));
  CHECK_THAT(plain({{"human", "<image>"}, caption}, false), Contains("one gpt turn"));
  CHECK_THAT(plain({{"human", "<image>"}, {"gpt", ""}}, true), Contains("is empty"));
  CHECK_THAT(plain({{"human", "<image>"}, {"gpt", "an <image>"}}, true),
             Contains("an answer holds"));
  CHECK_THROWS_WITH(finer::conversation_kind("vicuna_1"), Contains("did you mean \"vicuna_v1\"?"));
}
