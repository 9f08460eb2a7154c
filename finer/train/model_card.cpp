#include "finer/train/model_card.h"

#include "finer/train/html_text.h"
#include "finer/train/readable.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <string_view>

namespace finer {
namespace {

std::string one_line(std::string_view text) {
  std::string out = clean_utf8(text);
  std::replace(out.begin(), out.end(), '\n', ' ');
  std::replace(out.begin(), out.end(), '\t', ' ');
  return out;
}

// Text that Markdown shows as it is, within a line or a table's cell. CommonMark lets a backslash
// stand before any ASCII punctuation.
std::string markdown_text(std::string_view text) {
  const std::string line = one_line(text);
  const auto is_letter = [&](size_t i) {
    return i < line.size() && std::isalnum(static_cast<unsigned char>(line[i])) != 0;
  };
  std::string out;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    const bool is_inner = i > 0 && is_letter(i - 1) && is_letter(i + 1);
    if (std::string_view("\\`*[]<>&|~#!").find(c) != std::string_view::npos ||
        (c == '_' && !is_inner))
      out += '\\';
    out += c;
  }
  return out;
}

// A code span: fenced by more backticks than the text has in a row. A table splits at '|' even
// there.
std::string markdown_code(std::string_view text) {
  std::string line = one_line(text);
  if (line.find_first_not_of(' ') == std::string::npos) return "";
  size_t longest = 0, run = 0;
  std::string out;
  for (const char c : line) {
    run = c == '`' ? run + 1 : 0;
    longest = std::max(longest, run);
    if (c == '|') out += '\\';
    out += c;
  }
  const std::string fence(longest + 1, '`');
  const std::string pad = line.front() == '`' || line.back() == '`' ? " " : "";
  return fence + pad + out + pad + fence;
}

// A JSON string is a string in YAML's double-quoted style and in Python too.
std::string string_literal(std::string_view text) { return nlohmann::json(one_line(text)).dump(); }

std::string facts_section(const char* title, const std::vector<RunFact>& facts) {
  if (facts.empty()) return "";
  std::string text = std::string("\n## ") + title + "\n\n| | |\n|---|---|\n";
  for (const auto& fact : facts) {
    text += "| " + markdown_text(fact.name) + " | " + markdown_text(fact.value) + " |\n";
  }
  return text;
}

std::string parts_section(const std::vector<TrainedPart>& parts) {
  if (parts.empty()) return "";
  std::string text =
      "\n## What trained\n\n| part | how | trained | parameters | learning rate "
      "|\n|---|---|--:|--:|--:|\n";
  for (const auto& part : parts) {
    text += "| " + markdown_text(part.name) + " | " + markdown_text(part.mode) + " | " +
            readable_count(part.trainable) + " | " + readable_count(part.total) + " | " +
            rate_text(part) + " |\n";
  }
  return text;
}

std::string sets_section(const std::vector<TrainedSet>& sets) {
  if (sets.empty()) return "";
  std::string text = "\n## Data\n\n| file | records | weight | hash |\n|---|--:|--:|---|\n";
  for (const auto& set : sets) {
    text += "| " + markdown_code(set.path) + " | " + readable_count(set.records) + " | " +
            readable_number(set.weight, 4) + " | " + markdown_code(set.hash) + " |\n";
  }
  return text;
}

}  // namespace

std::string render(const ModelCard& card) {
  std::string text = "---\nlibrary_name: peft\npipeline_tag: image-text-to-text\n";
  if (!card.base_hub_id.empty()) text += "base_model: " + string_literal(card.base_hub_id) + "\n";
  text += "tags:\n- finer\n- llava\n- lora\n---\n\n# " + markdown_text(card.title) + "\n\n";
  text += "An adapter for " + markdown_code(card.base_model) +
          ", trained with finer. The folder has PEFT's layout: `adapter_config.json` and "
          "`adapter_model.safetensors`; a projector that trained is in it as a module to save.\n";
  text +=
      "\n## Use\n\n```python\nfrom peft import PeftModel\nfrom transformers import "
      "LlavaForConditionalGeneration\n\n"
      "base = LlavaForConditionalGeneration.from_pretrained(" +
      string_literal(card.base_hub_id.empty() ? card.base_model : card.base_hub_id) +
      ")\nmodel = PeftModel.from_pretrained(base, \"path/to/this/folder\").eval()\n```\n";
  text += parts_section(card.parts);
  text += facts_section("Settings", card.settings);
  text += sets_section(card.sets);
  text += facts_section("Result", card.metrics);
  text += facts_section("Environment", card.environment);
  return text;
}

}  // namespace finer
