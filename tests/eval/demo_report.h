#pragma once

#include "finer/core/rng.h"
#include "finer/eval/eval_report.h"
#include "finer/train/thumbnail.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

/// An evaluation that never was, for looking at its page: drawn birds with invented names, three
/// models that are right about as often as in the paper, and texts that would break a careless
/// page.
namespace demo {

struct Colour {
  const char* name;
  int r, g, b;
};
constexpr Colour kColours[] = {{"red", 205, 62, 52},     {"yellow", 232, 190, 58},
                               {"green", 84, 146, 76},   {"blue", 64, 108, 190},
                               {"white", 236, 234, 228}, {"black", 44, 44, 48}};

struct Bird {
  std::string name;
  Colour body, wing, beak;
  std::vector<std::string> attributes() const {
    return {std::string(body.name) + " body", std::string(wing.name) + " wing",
            std::string(beak.name) + " beak"};
  }
};

inline finer::Thumbnail picture(const Bird& bird, finer::Rng& rng) {
  constexpr int64_t kSide = 64;
  finer::Image image;
  image.width = image.height = kSide;
  image.rgb.resize(kSide * kSide * 3);
  const double shift = 4 * rng.uniform() - 2, grey = 120 + 40 * rng.uniform();
  for (int64_t y = 0; y < kSide; ++y) {
    for (int64_t x = 0; x < kSide; ++x) {
      const double u = static_cast<double>(x) - 32 - shift, v = static_cast<double>(y) - 34;
      const auto is_in = [&](double cx, double cy, double rx, double ry) {
        return std::pow((u - cx) / rx, 2) + std::pow((v - cy) / ry, 2) < 1;
      };
      double r = grey + 20 - static_cast<double>(y) / 3, g = r, b = r + 6;
      const auto paint = [&](const Colour& c) {
        r = c.r;
        g = c.g;
        b = c.b;
      };
      if (is_in(-18, 8, 8, 4)) paint(bird.body);
      if (is_in(0, 4, 19, 13) || is_in(13, -9, 9, 8)) paint(bird.body);
      if (is_in(-3, 4, 11, 7)) paint(bird.wing);
      if (u > 20 && u < 29 && std::fabs(v + 8) < (29 - u) / 2.5) paint(bird.beak);
      if (is_in(15, -11, 1.8, 1.8)) r = g = b = 20;
      const double noise = 10 * rng.uniform() - 5;
      auto* pixel = &image.rgb[static_cast<size_t>(3 * (y * kSide + x))];
      pixel[0] = static_cast<uint8_t>(std::clamp(r + noise, 0.0, 255.0));
      pixel[1] = static_cast<uint8_t>(std::clamp(g + noise, 0.0, 255.0));
      pixel[2] = static_cast<uint8_t>(std::clamp(b + noise, 0.0, 255.0));
    }
  }
  return finer::make_thumbnail(image);
}

inline std::string word(finer::Rng& rng) {
  std::string out;
  for (int i = 0; i < 3; ++i) {
    out += "bdfgklmnprstvz"[rng.below(14)];
    out += "aeiou"[rng.below(5)];
  }
  return out + "nsrl"[rng.below(4)];
}

inline std::vector<finer::ScoredPrediction> predictions(finer::Rng& rng, double share) {
  std::vector<finer::ScoredPrediction> found;
  for (int64_t idx = 0; idx < 270; ++idx) {
    static double luck = 0;
    if (idx % 10 == 0) luck = rng.uniform() - 0.5;
    const bool is_right = rng.uniform() < share + 0.6 * luck * share * (1 - share) * 4;
    const bool is_near = rng.uniform() < 0.2;
    found.push_back({idx,
                     idx / 10,
                     {is_right ? 1.0 : 0.0, is_right && !is_near ? 1.0 : 0.0,
                      is_right ? (is_near ? 0.8 : 1.0) : (is_near ? 0.33 : 0.0)}});
  }
  return found;
}

inline finer::EvalReport report(bool is_hostile = false) {
  using finer::Level;
  finer::Rng rng(7);
  finer::EvalReport report;
  report.title = "Looking first, naming second";
  report.lead =
      "A small vision-language model meets birds it has only read about. Tuned to name at once, it "
      "names almost none of them; tuned to say first what it sees, it names three in four.";
  report.when = "24 November 2026, 13:20";
  report.headline = {{"Direct, held-out", "1.3%"},
                     {"ATTR SEEK, held-out", "74.2%"},
                     {"Difference", "+72.9 points"},
                     {"From text alone", "96.3%"}};
  const std::vector<std::string> models = {"base", "direct", "attr-seek"};
  const double shares[2][3][3] = {{{0.99, 0.96, 0.985}, {0.94, 0.87, 0.93}, {0.0, 0.013, 0.742}},
                                  {{0.99, 0.995, 0.998}, {0.94, 0.98, 0.985}, {0.0, 0.93, 0.966}}};
  const char* sets[] = {"held-out concepts", "known concepts, new pictures"};
  for (int s = 0; s < 2; ++s) {
    for (int l = 0; l < 3; ++l) {
      std::vector<finer::ScoredPrediction> of_model[3];
      for (int m = 0; m < 3; ++m) {
        of_model[m] = predictions(rng, shares[s][l][m]);
        auto row = finer::result_row(of_model[m], finer::DrawBy::kClass);
        row.model = models[static_cast<size_t>(m)];
        row.set = sets[s];
        row.level = finer::kLevels[l];
        report.rows.push_back(row);
      }
      auto difference = finer::difference_row(of_model[2], of_model[1], finer::DrawBy::kClass);
      difference.model = models[2];
      difference.other_model = models[1];
      difference.set = sets[s];
      difference.level = finer::kLevels[l];
      report.differences.push_back(difference);
    }
  }
  report.interval_note =
      "Intervals are 95 % bootstrap intervals over concepts: the ten pictures of a concept are "
      "mostly right or wrong together. 10,000 resamples.";

  finer::ReportSection gap;
  gap.title = "The modality gap";
  gap.paragraphs = {
      "The same question, once with the attributes as text and once with the picture. The language "
      "model knows the names; the picture does not reach them."};
  finer::ReportTable text;
  text.columns = {{"Model", false}, {"Text only", true}, {"Picture only", true}, {"Gap", true}};
  text.rows = {{finer::text_cell("base"), finer::percent_cell({0.982, 0.95, 1}),
                finer::percent_cell({0, 0, 0}), finer::difference_cell({0.982, 0.95, 1})},
               {finer::text_cell("direct"), finer::percent_cell({0.963, 0.92, 0.99}),
                finer::percent_cell({0.013, 0, 0.03}), finer::difference_cell({0.95, 0.91, 0.98})}};
  text.rows[1][3].is_strong = true;
  gap.tables = {text};
  finer::ReportLines loss;
  loss.title = "Loss";
  loss.note = "cross-entropy a target token, mean over neighbours";
  loss.is_log = true;
  for (const char* name : {"direct", "attr-seek", "no-answer"}) {
    finer::ReportLine line;
    line.name = name;
    for (int step = 1; step <= 200; ++step) {
      line.x.push_back(step);
      line.y.push_back((2.4 + static_cast<double>(loss.lines.size()) / 3) * std::exp(-step / 40.0) +
                       0.1 + 0.08 * rng.uniform());
    }
    loss.lines.push_back(std::move(line));
  }
  finer::ReportLines accuracy = loss;
  accuracy.title = "Held-out EM while tuning";
  accuracy.is_log = false;
  accuracy.note = "a fixed subset of 64 pictures";
  accuracy.lines.resize(1);
  for (double& y : accuracy.lines[0].y) y = 1 - y / 3;
  gap.lines = {loss, accuracy};
  report.first = {gap};

  finer::ReportSection caveats;
  caveats.title = "What to keep in mind";
  caveats.points = {
      "Held-out concepts' names and attributes are in the text that all models read; only their "
      "pictures are withheld.",
      "The third question receives the model's own answers, in a wording that the text stage has.",
      "Equal pictures and steps; ATTR SEEK has about twice the text tokens."};
  report.last = {caveats};

  std::vector<Bird> birds;
  for (int i = 0; i < 9; ++i) {
    birds.push_back(
        {word(rng), kColours[rng.below(6)], kColours[rng.below(6)], kColours[rng.below(6)]});
  }
  for (int i = 0; i < 36; ++i) {
    const Bird& bird = birds[static_cast<size_t>(i % 9)];
    const Bird& other = birds[static_cast<size_t>((i + 4) % 9)];
    const auto thumbnail = picture(bird, rng);
    finer::GalleryItem item;
    item.picture = thumbnail.bytes;
    item.mime = thumbnail.mime;
    item.name = "pictures/owl/" + bird.name + "-" + std::to_string(i) + ".png";
    item.set = sets[i % 3 == 0 ? 1 : 0];
    item.gold = bird.name;
    item.gold_attributes = bird.attributes();
    const bool is_known = i % 3 == 0, is_seen = rng.uniform() < 0.75;
    item.answers.push_back(
        {"base", "fine", {{"What is the exact name of this bird?", "An owl.", {}}}, false});
    item.answers.push_back(
        {"direct",
         "fine",
         {{"What is the exact name of this bird?", (is_known ? bird : other).name + ".", {}}},
         is_known});
    Bird said = bird;
    if (!is_seen) said.wing = kColours[(rng.below(5))];
    std::string attributes;
    for (const auto& one : said.attributes()) attributes += (attributes.empty() ? "" : ", ") + one;
    item.answers.push_back({"attr-seek",
                            "fine",
                            {{"What kind of bird is it?", "An owl.", {}},
                             {"What visual attributes does it have?", attributes,
                              finer::marked_attributes(attributes, item.gold_attributes)},
                             {"It has " + attributes + ". What is the exact name of this owl?",
                              is_seen ? bird.name : other.name,
                              {}}},
                            is_seen});
    report.gallery.push_back(std::move(item));
  }
  report.environment = {{"finer", "0.1.0 (commit 0123456789ab)"},
                        {"Device", "cpu, 2 threads"},
                        {"Subset", "all 594 pictures"},
                        {"Seed", "0"}};
  report.recipe_yaml = "models:\n  - {name: base, llava: runs/mini/visual/model}\nlevels: [fine]\n";

  if (is_hostile) {
    const std::string bad = "</script><img src=x onerror=alert(1)>\"'&<b>";
    report.title = report.kicker = report.lead = report.interval_note = report.recipe_yaml = bad;
    for (auto& fact : report.headline) fact = {bad, bad};
    for (auto& row : report.rows) row.model = row.set = row.condition = bad;
    for (auto& row : report.differences) row.model = row.other_model = row.set = bad;
    for (auto* sections : {&report.first, &report.last}) {
      for (auto& section : *sections) {
        section.title = bad;
        section.paragraphs = section.points = {bad};
        for (auto& table : section.tables) {
          table.title = table.note = table.columns[0].name = bad;
          table.rows = {{{bad}}, {{bad, bad}, {bad, bad}, {bad, bad}, {bad, bad}}};
        }
        for (auto& lines : section.lines) {
          lines.title = lines.note = lines.x_name = lines.lines[0].name = bad;
        }
      }
    }
    for (auto& item : report.gallery) {
      item.name = item.set = item.gold = bad;
      item.gold_attributes = {bad};
      for (auto& answer : item.answers) {
        answer.model = answer.level = bad;
        answer.turns = {{bad, bad, {{bad, true}}}, {bad, std::string("\xff\x00 half \xc3", 9), {}}};
      }
    }
    report.environment = {{bad, bad}};
  }
  return report;
}

}  // namespace demo
