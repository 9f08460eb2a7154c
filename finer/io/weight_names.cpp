#include "finer/io/weight_names.h"

#include <cctype>
#include <utility>
#include <vector>

namespace finer {

namespace {

bool starts_with(const std::string& text, const std::string& prefix) {
  return text.rfind(prefix, 0) == 0;
}
bool ends_with(const std::string& text, const std::string& suffix) {
  return text.size() >= suffix.size() &&
         text.compare(text.size() - suffix.size(), suffix.size(), suffix) == 0;
}

// mm_projector.K.weight of a Sequential: layers 0, 2, 4, ... are the linear ones.
std::optional<std::string> projector_name(const std::string& rest) {
  if (rest == "weight" || rest == "bias") return "multi_modal_projector.linear_1." + rest;
  const auto dot = rest.find('.');
  if (dot == std::string::npos || dot == 0 || dot > 2) return std::nullopt;
  for (size_t i = 0; i < dot; ++i) {
    if (!std::isdigit(static_cast<unsigned char>(rest[i]))) return std::nullopt;
  }
  const int index = std::stoi(rest.substr(0, dot));
  if (index % 2 != 0) return std::nullopt;
  return "multi_modal_projector.linear_" + std::to_string(index / 2 + 1) + rest.substr(dot);
}

}  // namespace

std::optional<std::string> canonical_weight_name(const std::string& published) {
  if (ends_with(published, "rotary_emb.inv_freq") || ends_with(published, "position_ids"))
    return "";
  for (const char* unused : {"text_model.", "visual_projection.", "text_projection."}) {
    if (starts_with(published, unused)) return "";
  }
  if (published == "logit_scale") return "";

  // Longest first: a prefix must not hide a longer one.
  static const std::vector<std::pair<std::string, std::string>> kPrefixes = {
      {"model.vision_tower.vision_tower.vision_model.", "vision_tower."},
      {"model.vision_tower.vision_model.", "vision_tower."},
      {"vision_tower.vision_model.", "vision_tower."},
      {"vision_model.", "vision_tower."},
      {"model.vision_tower.", "vision_tower."},
      {"vision_tower.", "vision_tower."},
      {"model.mm_projector.", "mm_projector."},
      {"mm_projector.", "mm_projector."},
      {"model.multi_modal_projector.", "multi_modal_projector."},
      {"multi_modal_projector.", "multi_modal_projector."},
      {"model.language_model.", "language_model."},
      {"language_model.model.", "language_model."},
      {"language_model.lm_head.", "language_model.lm_head."},
      {"language_model.", "language_model."},
      {"lm_head.", "language_model.lm_head."},
      {"model.", "language_model."},
  };
  for (const auto& [prefix, canonical] : kPrefixes) {
    if (!starts_with(published, prefix)) continue;
    const auto rest = published.substr(prefix.size());
    if (canonical == "mm_projector.") return projector_name(rest);
    return canonical + rest;
  }
  return std::nullopt;
}

std::string original_projector_name(const std::string& canonical, bool is_single) {
  const std::string rest = canonical.substr(std::string("multi_modal_projector.linear_").size());
  const auto dot = rest.find('.');
  const std::string index =
      is_single ? "" : std::to_string(2 * (std::stoi(rest.substr(0, dot)) - 1)) + ".";
  return "model.mm_projector." + index + rest.substr(dot + 1);
}

}  // namespace finer
