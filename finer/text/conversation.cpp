#include "finer/text/conversation.h"

#include "finer/core/error.h"
#include "finer/core/near_miss.h"
#include "finer/core/quote.h"
#include "finer/text/blank.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace finer {

namespace {

constexpr std::string_view kImageMark = "<image>";
constexpr std::string_view kSystem =
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the user's questions.";
constexpr std::string_view kAnswerEnd = "</s>";  // as text; the tokenizer makes EOS of it

enum class Learn { kNo, kYes };

// A prompt as text, cut where pictures stand, with the bytes that are to be learnt.
class Script {
 public:
  void say(std::string_view text, Learn learn = Learn::kNo) {
    auto& chunk = chunks_.back();
    const size_t begin = chunk.text.size();
    chunk.text += text;
    if (learn == Learn::kNo) return;
    auto& learnt = chunk.learnt;
    if (!learnt.empty() && learnt.back().second == begin) {
      learnt.back().second = chunk.text.size();
    } else {
      learnt.emplace_back(begin, chunk.text.size());
    }
  }

  void show_picture() { chunks_.emplace_back(); }

  // Each chunk is encoded once, as LLaVA does, so pieces come out as they do there even where they
  // reach over the border of a question and an answer; a piece is learnt when it starts inside an
  // answer.
  TokenizedSample tokenize(const Tokenizer& tokenizer) const {
    TokenizedSample sample;
    const auto put = [&](int64_t id, bool is_learnt) {
      sample.input_ids.push_back(id);
      sample.labels.push_back(is_learnt ? id : kIgnoreLabel);
    };
    put(tokenizer.bos_id(), false);
    for (size_t i = 0; i < chunks_.size(); ++i) {
      if (i > 0) put(kImageToken, false);
      const auto& learnt = chunks_[i].learnt;
      size_t next = 0;  // the first range that does not end before this token
      for (const auto& token : tokenizer.encode_with_places(chunks_[i].text)) {
        while (next < learnt.size() && learnt[next].second <= token.begin) ++next;
        put(token.id, next < learnt.size() && learnt[next].first <= token.begin);
      }
    }
    return sample;
  }

 private:
  struct Chunk {
    std::string text;
    std::vector<std::pair<size_t, size_t>> learnt;  // byte ranges, ascending
  };
  std::vector<Chunk> chunks_{1};
};

// "conversations[2].value", the place in the sample's JSON.
std::string place(size_t turn, const char* key) {
  return "conversations[" + std::to_string(turn) + "]." + key;
}

size_t count_marks(std::string_view text) {
  size_t count = 0;
  for (size_t at = 0; (at = text.find(kImageMark, at)) != text.npos; at += kImageMark.size()) {
    ++count;
  }
  return count;
}

void check_turns(std::span<const Turn> turns) {
  if (turns.empty()) throw DataError("conversations: is empty; expected a question and an answer");
  for (size_t i = 0; i < turns.size(); ++i) {
    const auto& turn = turns[i];
    if (turn.from != "human" && turn.from != "gpt") {
      throw DataError(place(i, "from") + ": " + quote(turn.from) + " is no role" +
                      did_you_mean(turn.from, {"human", "gpt"}));
    }
  }
}

void check_value(const Turn& turn, size_t index) {
  if (turn.value.empty()) {
    throw DataError(place(index, "value") + ": is empty; give the " + turn.from +
                    " turn a text or drop the sample");
  }
  if (turn.from == "gpt" && count_marks(turn.value) > 0) {
    throw DataError(place(index, "value") +
                    ": an answer holds \"<image>\"; move it to the human turn before it");
  }
}

// LLaVA's order: the picture first, then the turn's text without blanks at its ends.
struct Question {
  bool has_picture = false;
  std::string text;
};

Question read_question(const std::string& value, size_t index) {
  const size_t at = value.find(kImageMark);
  if (at == value.npos) return {false, value};
  std::string rest = value.substr(0, at) + value.substr(at + kImageMark.size());
  if (count_marks(rest) > 0) {
    throw DataError(place(index, "value") +
                    ": holds more than one \"<image>\"; only one picture a sample is supported");
  }
  return {true, std::string(strip(rest))};
}

void check_picture(size_t num_marks, bool has_image) {
  if (has_image && num_marks == 0) {
    throw DataError(
        "conversations: the sample has a picture but no human turn holds \"<image>\"; put it into "
        "the turn that asks about the picture");
  }
  if (!has_image && num_marks > 0) {
    throw DataError(
        "conversations: \"<image>\" in a sample without a picture; add its \"image\" or take the "
        "mark out");
  }
  if (num_marks > 1) {
    throw DataError("conversations: " + std::to_string(num_marks) +
                    " turns hold \"<image>\"; only one picture a sample is supported");
  }
}

enum class EndsWith { kAnswer, kQuestion };

// "SYSTEM USER: question ASSISTANT: answer</s>USER: ...". What is learnt of an answer starts with
// the blank after "ASSISTANT:", since that blank is part of the answer's first piece.
Script vicuna_script(std::span<const Turn> turns, bool has_image, EndsWith end, bool has_system) {
  check_turns(turns);
  const size_t first = turns.front().from == "human" ? 0 : 1;  // LLaVA drops one leading gpt turn
  if (first == turns.size()) {
    throw DataError("conversations: no human turn; expected a question and an answer");
  }
  Script script;
  if (has_system) {
    script.say(kSystem);
    script.say(" ");
  }
  size_t num_marks = 0;
  for (size_t i = first; i < turns.size(); ++i) {
    const auto& turn = turns[i];
    const std::string expected = (i - first) % 2 == 0 ? "human" : "gpt";
    if (turn.from != expected) {
      throw DataError(place(i, "from") + ": " + quote(turn.from) + " follows " + quote(turn.from) +
                      "; human and gpt must take turns");
    }
    check_value(turn, i);
    if (turn.from == "gpt") {
      script.say(" ", Learn::kYes);
      script.say(turn.value, Learn::kYes);
      script.say(kAnswerEnd, Learn::kYes);
      continue;
    }
    const auto question = read_question(turn.value, i);
    num_marks += question.has_picture;
    script.say("USER: ");
    if (question.has_picture) script.show_picture();
    if (question.has_picture && !question.text.empty()) script.say("\n");
    script.say(question.text);
    script.say(" ASSISTANT:");
  }
  check_picture(num_marks, has_image);
  const bool ends_with_answer = turns.back().from == "gpt";
  if (end == EndsWith::kAnswer && !ends_with_answer) {
    throw DataError(place(turns.size() - 1, "from") +
                    ": the last turn is a question without an answer");
  }
  if (end == EndsWith::kQuestion && ends_with_answer) {
    throw DataError(place(turns.size() - 1, "from") +
                    ": a prompt must end with a human turn, found \"gpt\"");
  }
  return script;
}

// Picture, caption, new line; what the human turn says beside its mark is dropped, as LLaVA does.
// Without a picture: one gpt turn, all of it learnt (text that teaches a language model before it
// sees pictures).
Script plain_script(std::span<const Turn> turns, bool has_image, EndsWith end) {
  check_turns(turns);
  for (size_t i = 0; i < turns.size(); ++i) check_value(turns[i], i);
  const size_t num_questions = has_image ? 1 : 0;
  const size_t num_turns = num_questions + (end == EndsWith::kAnswer ? 1 : 0);
  const char* expected = has_image ? "a human turn with \"<image>\" and a gpt turn with the caption"
                                   : "one gpt turn, as the sample has no picture";
  if (end == EndsWith::kQuestion && !has_image) {
    throw DataError("conversations: a plain prompt needs a picture");
  }
  bool fits = turns.size() == num_turns;
  for (size_t i = 0; fits && i < num_turns; ++i) {
    fits = turns[i].from == (i < num_questions ? "human" : "gpt");
  }
  if (has_image && fits) {
    check_picture(read_question(turns.front().value, 0).has_picture ? 1 : 0, has_image);
  }
  if (!fits) {
    throw DataError("conversations: a plain sample has " + std::string(expected) + "; found " +
                    std::to_string(turns.size()) + " turns, the first from " +
                    quote(turns.front().from));
  }
  Script script;
  if (has_image) script.show_picture();
  if (end == EndsWith::kAnswer) {
    script.say(turns.back().value, Learn::kYes);
    script.say("\n", Learn::kYes);
  }
  return script;
}

Script script_of(ConversationKind kind, std::span<const Turn> turns, bool has_image, EndsWith end) {
  if (kind == ConversationKind::kPlain) return plain_script(turns, has_image, end);
  return vicuna_script(turns, has_image, end, kind == ConversationKind::kVicunaV1);
}

}  // namespace

const std::vector<std::string>& conversation_names() {
  static const std::vector<std::string> names = {"vicuna_v1", "vicuna_v1_bare", "plain"};
  return names;
}

ConversationKind conversation_kind(const std::string& name) {
  const auto& names = conversation_names();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) return static_cast<ConversationKind>(found - names.begin());
  throw DataError("conversation " + quote(name) + " is not known" + did_you_mean(name, names));
}

TokenizedSample tokenize_conversation(const Tokenizer& tokenizer, ConversationKind kind,
                                      std::span<const Turn> turns, bool has_image) {
  return script_of(kind, turns, has_image, EndsWith::kAnswer).tokenize(tokenizer);
}

std::vector<int64_t> tokenize_prompt(const Tokenizer& tokenizer, ConversationKind kind,
                                     std::span<const Turn> turns, bool has_image) {
  return script_of(kind, turns, has_image, EndsWith::kQuestion).tokenize(tokenizer).input_ids;
}

}  // namespace finer
