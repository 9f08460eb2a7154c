#include "finer/eval/gallery.h"

#include "finer/eval/scores.h"
#include "finer/eval/unicode.h"
#include "finer/text/blank.h"
#include "finer/train/html_text.h"
#include "finer/train/readable.h"
#include "finer/train/report_page.h"

#include <algorithm>

namespace finer {
namespace {

// The names in order of their first appearance; their places stand in the page's attributes.
class NameList {
 public:
  size_t place(const std::string& name) {
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (found != names_.end()) return static_cast<size_t>(found - names_.begin());
    names_.push_back(name);
    return names_.size() - 1;
  }
  const std::vector<std::string>& names() const { return names_; }

 private:
  std::vector<std::string> names_;
};

std::string select_html(const char* id, const char* label, const char* all,
                        const std::vector<std::string>& names) {
  if (names.size() < 2) return "";
  std::string html = std::string("<label class=\"choice\"><span>") + label +
                     "</span><select id=\"" + id + "\"><option value=\"\">" + all + "</option>";
  for (size_t i = 0; i < names.size(); ++i) {
    html += "<option value=\"" + std::to_string(i) + "\">" + html_text(names[i]) + "</option>";
  }
  return html + "</select></label>";
}

// has_mixed: some picture has several answers, which may not all be right or wrong.
std::string verdict_choice(bool has_mixed) {
  std::string html =
      "<fieldset class=\"verdicts\"><legend>Answers</legend><div class=\"segments\">";
  struct Choice {
    const char* value;
    const char* text;
  };
  for (const auto& [value, text] :
       {Choice{"all", "All"}, {"right", "Right"}, {"wrong", "Wrong"}, {"mixed", "Mixed"}}) {
    if (!has_mixed && std::string(value) == "mixed") continue;
    html += std::string("<label><input type=\"radio\" name=\"verdict\" id=\"verdict-") + value +
            "\" value=\"" + value + "\"" + (std::string(value) == "all" ? " checked" : "") +
            "><span>" + text + "</span></label>";
  }
  return html + "</div></fieldset>";
}

std::string attribute_chips(const std::vector<GalleryAttribute>& attributes) {
  std::string html = "<ul class=\"chips\">";
  for (const auto& attribute : attributes) {
    html += std::string("<li class=\"") + (attribute.is_right ? "yes" : "no") + "\" title=\"" +
            (attribute.is_right ? "the concept has it" : "not among the concept's attributes") +
            "\"><bdi>" + html_text(attribute.text) + "</bdi></li>";
  }
  return html + "</ul>";
}

// has_levels: the page has several, so each answer says its own.
std::string answer_html(const GalleryAnswer& answer, size_t model, size_t level, bool has_levels) {
  std::string html = "<div class=\"said " + std::string(answer.is_right ? "right" : "wrong") +
                     "\" data-model=\"" + std::to_string(model) + "\" data-level=\"" +
                     std::to_string(level) + "\"><p class=\"who\"><b><bdi>" +
                     html_text(answer.model) + "</bdi></b>";
  if (has_levels) html += "<span class=\"level\">" + html_text(answer.level) + "</span>";
  html +=
      std::string("<span class=\"mark\">") + (answer.is_right ? "right" : "wrong") + "</span></p>";
  for (size_t i = 0; i < answer.turns.size(); ++i) {
    const auto& turn = answer.turns[i];
    const bool is_last = i + 1 == answer.turns.size();
    if (!turn.question.empty()) {
      html += "<p class=\"asked\" dir=\"auto\">" + html_text(turn.question) + "</p>";
    }
    if (!turn.attributes.empty()) {
      html += attribute_chips(turn.attributes);
    } else {
      html += std::string("<p dir=\"auto\" class=\"") + (is_last ? "named" : "step") + "\">" +
              (strip(turn.answer).empty() ? "<i>no answer</i>" : html_text(turn.answer)) + "</p>";
    }
  }
  return html + "</div>";
}

}  // namespace

std::vector<GalleryAttribute> marked_attributes(const std::string& answer,
                                                const std::vector<std::string>& gold_attributes) {
  std::vector<std::string> gold;
  for (const auto& attribute : gold_attributes) gold.push_back(normalise_answer(attribute));
  std::vector<GalleryAttribute> found;
  std::string part;
  const auto end_part = [&] {
    const std::string normal = normalise_answer(part);
    if (!normal.empty()) {
      found.push_back(
          {std::string(strip(part)), std::find(gold.begin(), gold.end(), normal) != gold.end()});
    }
    part.clear();
  };
  for (const char c : answer) {
    if (c == ',' || c == ';') {
      end_part();
    } else {
      part += c;
    }
  }
  end_part();
  return found;
}

std::string gallery_html(const std::vector<GalleryItem>& items) {
  if (items.empty()) return "";
  NameList models, sets, levels;
  size_t most_models = 1;
  bool has_mixed = false;
  for (const auto& item : items) {
    has_mixed = has_mixed || item.answers.size() > 1;
    for (const auto& answer : item.answers) levels.place(answer.level);
  }
  const bool has_levels = levels.names().size() > 1;
  std::string cards;
  for (const auto& item : items) {
    NameList here;
    for (const auto& answer : item.answers) here.place(answer.model);
    most_models = std::max(most_models, here.names().size());
    cards += "<li class=\"card shot\" data-set=\"" + std::to_string(sets.place(item.set)) +
             "\"><div class=\"seen\">";
    if (!item.picture.empty()) cards += picture_html(item.picture, item.mime, item.name);
    cards += "<p class=\"gold\" dir=\"auto\">" + html_text(item.gold) + "</p>";
    if (!item.gold_attributes.empty()) {
      cards += "<p class=\"gold-more\" dir=\"auto\">";
      for (size_t i = 0; i < item.gold_attributes.size(); ++i) {
        cards += (i > 0 ? ", " : "") + html_text(item.gold_attributes[i]);
      }
      cards += "</p>";
    }
    if (!item.set.empty()) cards += "<p class=\"from\">" + html_text(item.set) + "</p>";
    cards += "</div><div class=\"answers\">";
    for (const auto& answer : item.answers) {
      cards +=
          answer_html(answer, models.place(answer.model), levels.place(answer.level), has_levels);
    }
    cards += "</div></li>\n";
  }
  const std::string count = readable_count(static_cast<int64_t>(items.size()));
  return "<section class=\"gallery\"><h2>Pictures</h2>\n<form class=\"filter\" id=\"filter\">" +
         verdict_choice(has_mixed) + select_html("of-model", "by", "any model", models.names()) +
         select_html("of-set", "in", "every set", sets.names()) +
         select_html("of-level", "at", "every level", levels.names()) +
         "<output id=\"shown\" aria-live=\"polite\">" + count + " of " + count +
         "</output></form>\n<ul class=\"shots models-" +
         std::to_string(std::min<size_t>(most_models, 4)) + "\" id=\"shots\">\n" + cards +
         "</ul>\n<p class=\"note\" id=\"none-shown\" hidden>No picture is left: choose fewer "
         "filters.</p></section>\n";
}

}  // namespace finer
