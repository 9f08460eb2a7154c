#include "finer/eval/prompts.h"

#include "finer/core/error.h"
#include "finer/core/joined.h"
#include "finer/core/quote.h"

#include <algorithm>
#include <array>

namespace finer {

namespace {

constexpr std::string_view kPictureMark = "<image>";
constexpr std::string_view kBriefly = " Answer with its name and nothing else.";
constexpr std::string_view kStepByStep =
    " Let's think step by step: say first what can be seen, then end with \"Answer:\" and the "
    "name.";
constexpr std::array<std::string_view, 5> kPlaces = {"superordinate", "coarse", "fine",
                                                     "attributes", "coarser"};

// The program's own wordings.
std::string name_question(Level level) {
  switch (level) {
    case Level::kHighCoarse:
      return "What is in this picture? Name the broad kind that it belongs to.";
    case Level::kCoarse:
      return "What kind of {coarser} is in this picture?";
    default:
      return "What is the exact name of the {coarser} in this picture?";
  }
}

std::string seek_question(Level level) {
  switch (level) {
    case Level::kHighCoarse:
      return "It has {attributes}. Given these, what broad kind does it belong to?";
    case Level::kCoarse:
      return "It has {attributes}. Given these, what kind of {coarser} is it?";
    default:
      return "It has {attributes}. Given these, what is the exact name of this {coarser}?";
  }
}

const char* const kAttributesQuestion =
    "What visual attributes does the {coarser} in this picture have? List those that tell it from "
    "others of its kind.";

// Worked cases that name nothing of the six sets.
std::vector<EvalExampleConfig> own_examples() {
  return {
      {"high_coarse", "What is in this picture? Name the broad kind that it belongs to.",
       "It has a round face with two hands, twelve numerals and a metal case on a strap. Things "
       "worn on the wrist to tell the time look so. Answer: Watch"},
      {"coarse", "What kind of instrument is in this picture?",
       "It has a hollow wooden body with a waist, four strings, and a bow beside it. Instruments "
       "played with a bow look so. Answer: String instrument"},
      {"fine", "What is the exact name of the string instrument in this picture?",
       "It is as large as a grown person, stands on a spike, has sloping shoulders and four thick "
       "strings. That fits the double bass, not the cello. Answer: Double Bass"},
  };
}

const std::string& own_wording(const EvalPromptConfig& prompt, Level level) {
  return level == Level::kHighCoarse ? prompt.superordinate
         : level == Level::kCoarse   ? prompt.coarse
                                     : prompt.fine;
}

PromptPlan plan_level(const EvalPromptConfig& prompt, Level level) {
  PromptPlan plan;
  plan.scored = {ask_of(level)};
  plan.needs_coarser = prompt.coarser == "predicted" && level != Level::kHighCoarse;
  const std::string& given = own_wording(prompt, level);
  const bool seeks = prompt.kind == "attr_seek", reasons = prompt.kind.rfind("cot", 0) == 0;
  std::string question = !given.empty() ? given
                         : seeks        ? seek_question(level)
                                        : name_question(level);
  if (given.empty() && !reasons) question += kBriefly;
  if (reasons && question.find("Answer:") == std::string::npos) question += kStepByStep;
  if (prompt.kind == "cot_few") {
    std::string shown;
    for (const auto& example : prompt.examples.empty() ? own_examples() : prompt.examples) {
      if (example.level == level_name(level))
        shown += "Question: " + example.question + "\n" + example.answer + "\n\n";
    }
    question = shown + "Question: " + question;
  }
  if (seeks) {
    plan.rounds.push_back(
        {Ask::kAttributes, prompt.attributes.empty() ? kAttributesQuestion : prompt.attributes});
  }
  plan.rounds.push_back({ask_of(level), question});
  return plan;
}

std::string without(std::string text, std::string_view mark) {
  for (size_t at; (at = text.find(mark)) != std::string::npos;) text.erase(at, mark.size());
  return text;
}

std::string stripped(const std::string& text) {
  const char* const kBlanks = " \t\r\n\v\f";
  const size_t begin = text.find_first_not_of(kBlanks);
  return begin == std::string::npos
             ? ""
             : text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

}  // namespace

Ask ask_from_name(const std::string& name) {
  if (name == "superordinate") return Ask::kSuperordinate;
  if (name == "coarse") return Ask::kCoarse;
  if (name == "attributes") return Ask::kAttributes;
  FINER_CHECK(name == "fine", "superordinate, coarse, attributes or fine");
  return Ask::kFine;
}

std::string ask_name(Ask ask) {
  static const char* const kNames[] = {"superordinate", "coarse", "attributes", "fine"};
  return kNames[static_cast<int>(ask)];
}

Ask ask_of(Level level) {
  return level == Level::kHighCoarse ? Ask::kSuperordinate
         : level == Level::kCoarse   ? Ask::kCoarse
                                     : Ask::kFine;
}

std::string scored_name(Ask ask) {
  return ask == Ask::kSuperordinate ? level_name(Level::kHighCoarse) : ask_name(ask);
}

size_t PromptPlan::round_of(Ask ask) const {
  for (size_t i = 0; i < rounds.size(); ++i) {
    if (rounds[i].ask == ask) return i;
  }
  fail_check(__FILE__, __LINE__, "something that the plan asks for");
}

Level PromptPlan::level() const {
  if (scored.empty()) return Level::kFine;
  return scored.back() == Ask::kSuperordinate ? Level::kHighCoarse
         : scored.back() == Ask::kCoarse      ? Level::kCoarse
                                              : Level::kFine;
}

std::vector<PromptPlan> plan_prompt(const EvalPromptConfig& prompt,
                                    const std::vector<std::string>& levels) {
  std::vector<PromptPlan> plans;
  const auto is_wanted = [&](Level level) {
    return std::find(levels.begin(), levels.end(), level_name(level)) != levels.end();
  };
  if (prompt.kind != "turns") {
    // Coarser levels first: a later question may name what they were answered.
    for (const Level level : kLevels) {
      if (is_wanted(level)) plans.push_back(plan_level(prompt, level));
    }
    return plans;
  }
  PromptPlan plan;
  for (const auto& turn : prompt.turns) {
    plan.rounds.push_back({ask_from_name(turn.ask), turn.wording, turn.keep_after});
    for (const Level level : kLevels) {
      if (ask_of(level) == plan.rounds.back().ask && is_wanted(level))
        plan.scored.push_back(ask_of(level));
    }
  }
  if (!plan.scored.empty()) plans.push_back(std::move(plan));
  return plans;
}

std::string fill_wording(std::string_view wording, const data::UnifiedRecord& gold,
                         const std::vector<std::string>& gold_attributes,
                         const std::map<Ask, std::string>& given, Level level) {
  const auto words = [&](Ask ask) -> std::string {
    if (const auto own = given.find(ask); own != given.end()) return own->second;
    switch (ask) {
      case Ask::kSuperordinate:
        return gold.superordinate;
      case Ask::kCoarse:
        return gold.coarse.empty() ? gold.superordinate : joined(gold.coarse, " or ");
      case Ask::kAttributes:
        return joined(gold_attributes, ", ");
      default:
        return joined(gold.fine, " or ");
    }
  };
  std::string text;
  for (size_t at = 0; at < wording.size();) {
    const size_t open = wording.find('{', at);
    const size_t close = open == wording.npos ? wording.npos : wording.find('}', open);
    if (close == wording.npos) {
      text += wording.substr(at);
      break;
    }
    text += wording.substr(at, open - at);
    const auto place = wording.substr(open + 1, close - open - 1);
    if (place == "coarser") {
      text += level == Level::kHighCoarse ? "object"
              : level == Level::kCoarse   ? words(Ask::kSuperordinate)
                                          : words(Ask::kCoarse);
    } else if (std::find(kPlaces.begin(), kPlaces.end(), place) != kPlaces.end()) {
      text += words(ask_from_name(std::string(place)));
    } else {
      text += wording.substr(open, close - open + 1);
    }
    at = close + 1;
  }
  return without(text, kPictureMark);
}

std::string wording_fault(std::string_view wording) {
  if (wording.find(kPictureMark) != wording.npos) {
    return "holds \"<image>\"; expected none: the picture goes before the first question by itself";
  }
  if (stripped(std::string(wording)).empty()) return "is blank; expected a question";
  for (size_t at = 0; (at = wording.find('{', at)) != wording.npos; ++at) {
    const size_t close = wording.find('}', at);
    if (close == wording.npos) return "has a \"{\" without its \"}\"";
    const auto place = wording.substr(at + 1, close - at - 1);
    if (std::find(kPlaces.begin(), kPlaces.end(), place) == kPlaces.end()) {
      return "has the place " + quote("{" + std::string(place) + "}", 60) +
             "; expected {superordinate}, {coarse}, {fine}, {attributes} or {coarser}";
    }
  }
  return "";
}

std::string kept_words(std::string_view answer, std::string_view keep_after) {
  const size_t at = keep_after.empty() ? answer.npos : answer.find(keep_after);
  return answer_in_words(at == answer.npos ? answer : answer.substr(at + keep_after.size()));
}

std::string answer_as_turn(std::string_view answer) {
  std::string text = stripped(without(without(std::string(answer), kPictureMark), "</s>"));
  return text.empty() ? "unknown" : text;
}

std::string answer_in_words(std::string_view answer) {
  std::string text = answer_as_turn(answer);
  if (const size_t at = text.find("Answer:"); at != std::string::npos) {
    text = stripped(text.substr(at + 7));
  }
  text = stripped(text.substr(0, text.find('\n')));
  while (!text.empty() && text.back() == '.') text.pop_back();
  text = stripped(text);
  return text.empty() ? "unknown" : text;
}

std::vector<Turn> conversation_so_far(const std::vector<std::string>& questions,
                                      const std::vector<std::string>& answers, bool has_image) {
  FINER_CHECK(questions.size() == answers.size() + 1, "a question more than answers");
  std::vector<Turn> turns;
  for (size_t i = 0; i < questions.size(); ++i) {
    turns.push_back({"human", (i == 0 && has_image ? "<image>\n" : "") + questions[i]});
    if (i < answers.size()) turns.push_back({"gpt", answer_as_turn(answers[i])});
  }
  return turns;
}

}  // namespace finer
