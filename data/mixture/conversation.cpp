#include "data/mixture/conversation.h"

#include "data/json_text.h"
#include "data/mixture/config_fields.h"
#include "finer/core/error.h"
#include "finer/core/joined.h"
#include "finer/core/quote.h"
#include "finer/core/rng.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace finer::data {

namespace {

constexpr std::string_view kMark = "<image>";
constexpr char kBetweenLabels = '\x1f';  // stands in no label

const char* const kRoundNames[] = {"superordinate", "coarse", "attributes", "fine"};

RoundKind round_kind(const std::string& name) {
  const auto* found = std::find(std::begin(kRoundNames), std::end(kRoundNames), name);
  FINER_CHECK(found != std::end(kRoundNames), "a round that the recipe's rules let through");
  return static_cast<RoundKind>(found - std::begin(kRoundNames));
}

// The draw for one purpose: independent of all others.
Rng draw_for(uint64_t draw_seed, std::string_view purpose) {
  return Rng(mix_seed(draw_seed, hash_bytes(purpose)));
}

size_t draw_index(uint64_t draw_seed, std::string_view purpose, size_t count) {
  return draw_for(draw_seed, purpose).below(count);
}

std::string_view draw_label(const std::vector<std::string>& labels, uint64_t draw_seed,
                            std::string_view purpose) {
  return labels.empty() ? std::string_view()
                        : labels[draw_index(draw_seed, purpose, labels.size())];
}

const Wording& draw_wording(const std::vector<Wording>& wordings, uint64_t draw_seed,
                            std::string_view round, std::string_view part) {
  return wordings[draw_index(draw_seed, std::string(round) + "." + std::string(part),
                             wordings.size())];
}

// Labels become text that a template and a trainer read: what would move the picture's mark or
// leave an answer empty stops here.
void check_value(std::string_view value, const char* what) {
  if (value.find_first_not_of(" \t\r\n") == std::string_view::npos)
    throw DataError(std::string("has a blank ") + what);
  if (value.find(kMark) != std::string_view::npos)
    throw DataError(std::string("has <image> in its ") + what + ", where a name should be");
}

}  // namespace

uint64_t class_seed(uint64_t seed, const std::string& set_key, const std::string& class_key) {
  return mix_seed(mix_seed(seed, hash_bytes(set_key)), hash_bytes(class_key));
}

uint64_t record_seed(uint64_t class_seed, const std::string& img_path) {
  return mix_seed(class_seed, hash_bytes(img_path));
}

std::string class_key(const UnifiedRecord& record) {
  return joined(record.fine, std::string(1, kBetweenLabels));
}

std::string class_name(const UnifiedRecord& record) { return joined(record.fine, " / "); }

ConversationWriter::ConversationWriter(const MixtureConfig& config, Templates templates)
    : config_(config), templates_(std::move(templates)) {
  bool has_attributes = false;
  for (const auto& round : mixture_rounds(config)) {
    rounds_.push_back({round_kind(round.round), round.probability});
    has_attributes = has_attributes || rounds_.back().kind == RoundKind::kAttributes;
  }
  // Every section that a sample may draw from; this also finds the ones that are missing.
  bool may_know = config.shuffle_rounds && has_attributes, may_not_know = true;
  for (const auto& round : rounds_) {
    if (may_not_know || round.kind != RoundKind::kFine) add_needs(templates_.of(round.kind, false));
    if (may_know && round.kind == RoundKind::kFine) add_needs(templates_.of(round.kind, true));
    if (round.kind == RoundKind::kAttributes && !config.shuffle_rounds) {
      may_know = true;
      may_not_know = round.probability < 1;
    }
  }
  needs_attributes_ = needs_attributes_ || config.only_with_attributes;
}

void ConversationWriter::add_needs(const RoundWordings& wordings) {
  for (const auto* list : {&wordings.questions, &wordings.answers}) {
    for (const auto& wording : *list) {
      needs_coarse_ = needs_coarse_ || wording.has(Wording::Slot::kCoarse);
      needs_attributes_ = needs_attributes_ || wording.has(Wording::Slot::kAttributes);
    }
  }
}

std::string ConversationWriter::attribute_text(const ConceptAttributes* concept_) const {
  if (concept_ == nullptr) return "";
  std::vector<std::string> told = concept_->required;
  if (config_.attribute_detail != "required") {
    told.insert(told.end(), concept_->likely.begin(), concept_->likely.end());
  }
  if (const int64_t count = first_count(config_.attribute_detail); count > 0) {
    told.resize(std::min(told.size(), static_cast<size_t>(count)));
  }
  return joined(told, ", ");
}

std::vector<ConversationWriter::Round> ConversationWriter::drawn_rounds(uint64_t draw_seed) const {
  std::vector<Round> rounds;
  for (const auto& round : rounds_) {
    const std::string purpose = std::string("has ") + kRoundNames[static_cast<size_t>(round.kind)];
    if (round.probability >= 1 || draw_for(draw_seed, purpose).uniform() < round.probability) {
      rounds.push_back(round);
    }
  }
  if (config_.shuffle_rounds) {
    Rng rng = draw_for(draw_seed, "order");
    for (size_t i = rounds.size(); i > 1; --i) std::swap(rounds[i - 1], rounds[rng.below(i)]);
  }
  return rounds;
}

std::string ConversationWriter::sample(const std::string& id, const std::string& image,
                                       const UnifiedRecord& record, const std::string& attributes,
                                       uint64_t draw_seed) const {
  const std::string_view coarse = draw_label(record.coarse, draw_seed, "coarse label");
  const std::string_view fine = draw_label(record.fine, draw_seed, "fine label");
  check_value(record.superordinate, "superordinate label");
  check_value(fine, "fine label");
  if (needs_coarse_) check_value(coarse, "coarse label");
  if (needs_attributes_) check_value(attributes, "list of attributes");
  const Wording::Values values = {record.superordinate, coarse, attributes, fine};

  std::string line = "{\"id\": ";
  append_json_string(line, id);
  line += ", \"image\": ";
  append_json_string(line, image);
  line += ", \"conversations\": [";
  bool is_first = true, knows_attributes = false;
  for (const auto& round : drawn_rounds(draw_seed)) {
    const auto& wordings = templates_.of(round.kind, knows_attributes);
    const char* const name = kRoundNames[static_cast<size_t>(round.kind)];
    std::string question =
        draw_wording(wordings.questions, draw_seed, name, "question").filled(values);
    const std::string answer =
        draw_wording(wordings.answers, draw_seed, name, "answer").filled(values);
    if (is_first) {
      const bool is_before =
          config_.image_mark == "before" ||
          (config_.image_mark == "random" && draw_index(draw_seed, "image mark", 2) == 0);
      question =
          is_before ? std::string(kMark) + "\n" + question : question + "\n" + std::string(kMark);
    }
    line += is_first ? "{\"from\": \"human\", \"value\": " : ", {\"from\": \"human\", \"value\": ";
    append_json_string(line, question);
    line += "}, {\"from\": \"gpt\", \"value\": ";
    append_json_string(line, answer);
    line += '}';
    is_first = false;
    knows_attributes = knows_attributes || round.kind == RoundKind::kAttributes;
  }
  return line + "]}";
}

}  // namespace finer::data
