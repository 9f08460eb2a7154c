#pragma once

#include "data/world/concepts.h"
#include "finer/text/conversation.h"

#include <string>
#include <string_view>
#include <vector>

namespace finer::data {

/// What is asked in the miniature.
std::string ask_superordinate();
std::string ask_coarse(const std::string& superordinate);
std::string ask_fine(const std::string& coarser);
std::string ask_attributes();
std::string ask_description();
std::string ask_fine_given(const std::string& attributes, const std::string& coarse);

/// The same questions as `templates` of finer-data mixture, YAML (data/mixture/templates.h).
std::string mixture_templates();

/// The ways in which text teaches a concept: two plain sentences, then three questions.
inline constexpr int kNumPlainKnowledge = 2;
inline constexpr int kNumKnowledge = 5;

/// One text about a concept. way: 0 to kNumKnowledge - 1; plain ones are one gpt turn, the others a
/// question and its answer. Attributes come in the order of the slots, as everywhere in the world.
std::vector<Turn> knowledge(const Concept& species, int way);

/// The rounds of ATTR SEEK about a concept that is told instead of shown: kind, attributes, name.
/// So a name is also met late in a conversation, where only pictures would lead to it else.
std::vector<Turn> told_dialogue(const Concept& species);

/// A conversation about a picture without a name: [superordinate] [coarse] description, the mark
/// `<image>` before the first question.
std::vector<Turn> description_chat(const Specimen& specimen, bool asks_superordinate,
                                   bool asks_coarse);

/// The text of a conversation as the tokenizer meets it, a question and its answer a line:
/// "USER: question ASSISTANT: answer".
std::vector<std::string> spoken_lines(const std::vector<Turn>& turns);

/// The corpus the tokenizer is made from: every concept's texts, and one of each conversation.
std::vector<std::string> tokenizer_corpus(const std::vector<Concept>& concepts);

}  // namespace finer::data
