#include "data/world/wordings.h"

#include "finer/core/error.h"

#include <utility>

namespace finer::data {

namespace {

std::vector<Turn> asked(std::string question, std::string answer) {
  return {{"human", std::move(question)}, {"gpt", std::move(answer)}};
}

std::string given(const std::string& attributes, const std::string& question) {
  return "It has " + attributes + ". " + question;
}

const CoarseKind& kind_of(const Concept& species) { return coarse_kinds().at(species.kind); }

std::string attributes_of(const Concept& species) {
  return joined(attribute_phrases(kind_of(species), species.values));
}

}  // namespace

std::string ask_superordinate() { return "What is in this picture?"; }
std::string ask_coarse(const std::string& superordinate) {
  return "What kind of " + superordinate + " is it?";
}
std::string ask_fine(const std::string& coarser) {
  return "What is the exact name of this " + coarser + "?";
}
std::string ask_attributes() { return "What visual attributes does it have?"; }
std::string ask_description() { return "Describe it."; }
std::string ask_fine_given(const std::string& attributes, const std::string& coarse) {
  return given(attributes, ask_fine(coarse));
}

std::string mixture_templates() {
  const auto section = [](const char* name, const std::string& question, const char* answer) {
    return std::string(name) + ":\n  questions: [\"" + question + "\"]\n  answers: [\"" + answer +
           "\"]\n";
  };
  return "# The miniature's questions, one wording each: what the texts have taught.\n" +
         section("superordinate", ask_superordinate(), "{superordinate}") +
         section("coarse", ask_coarse("{superordinate}"), "{coarse}") +
         section("attributes", ask_attributes(), "{attributes}") +
         section("fine", ask_fine("{superordinate}"), "{fine}") +
         section("fine_after_attributes", ask_fine_given("{attributes}", "{coarse}"), "{fine}");
}

std::vector<Turn> knowledge(const Concept& species, int way) {
  const auto attributes = attributes_of(species);
  const std::string& coarse = kind_of(species).coarse;
  const std::string described = coarse + " with " + attributes;
  switch (way) {
    case 0:
      return {{"gpt", "The " + described + " is called " + species.name + "."}};
    case 1:
      return {{"gpt", species.name + " is the " + described + "."}};
    case 2:
      return asked("What is the exact name of the " + described + "?", species.name);
    case 3:
      return asked(ask_fine_given(attributes, coarse), species.name);
    default:
      FINER_CHECK(way == 4, "a way of telling, 0 to 4");
      return asked("What are the attributes of " + species.name + "?", coarse + ", " + attributes);
  }
}

std::vector<Turn> told_dialogue(const Concept& species) {
  const auto& kind = kind_of(species);
  const auto attributes = attributes_of(species);
  return {{"human", given(attributes, ask_coarse(kind.superordinate))},
          {"gpt", kind.coarse},
          {"human", ask_attributes()},
          {"gpt", attributes},
          {"human", ask_fine_given(attributes, kind.coarse)},
          {"gpt", species.name}};
}

std::vector<Turn> description_chat(const Specimen& specimen, bool asks_superordinate,
                                   bool asks_coarse) {
  const auto& kind = coarse_kinds().at(specimen.kind);
  std::vector<Turn> turns;
  const auto say = [&](std::string question, std::string answer) {
    if (turns.empty()) question = "<image>\n" + question;
    for (auto& turn : asked(std::move(question), std::move(answer))) turns.push_back(turn);
  };
  if (asks_superordinate) say(ask_superordinate(), kind.superordinate);
  if (asks_coarse) say(ask_coarse(kind.superordinate), kind.coarse);
  say(ask_description(),
      "The " + kind.coarse + " with " + joined(attribute_phrases(kind, specimen.values)));
  return turns;
}

std::vector<std::string> spoken_lines(const std::vector<Turn>& turns) {
  std::vector<std::string> lines;
  for (const auto& turn : turns) {
    std::string value = turn.value;
    const std::string mark = "<image>\n";
    if (value.starts_with(mark)) value.erase(0, mark.size());
    if (turn.from == "human") {
      lines.push_back("USER: " + value + " ASSISTANT:");
    } else if (turns.size() == 1) {
      lines.push_back(value);
    } else {
      lines.back() += " " + value;
    }
  }
  return lines;
}

std::vector<std::string> tokenizer_corpus(const std::vector<Concept>& concepts) {
  std::vector<std::string> lines;
  const auto add = [&](const std::vector<Turn>& turns) {
    for (auto& line : spoken_lines(turns)) lines.push_back(std::move(line));
  };
  // Every letter once: text in other words has a token then.
  lines.push_back("a b c d e f g h i j k l m n o p q r s t u v w x y z");
  for (const auto& species : concepts) {
    for (int way = 0; way < kNumKnowledge; ++way) add(knowledge(species, way));
    // Names stand in the texts above only, so that known and held-out ones are met equally often.
    const auto& kind = kind_of(species);
    add(description_chat({species.kind, species.values}, true, true));
    add(asked(ask_attributes(), attributes_of(species)));
    add(asked(ask_fine(kind.superordinate), kind.coarse));
  }
  return lines;
}

}  // namespace finer::data
