#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace finer {

/// An attribute that a model saw in the picture.
struct GalleryAttribute {
  std::string text;       // "red beak"
  bool is_right = false;  // the concept has it
};

struct GalleryTurn {
  std::string question;
  std::string answer;
  std::vector<GalleryAttribute> attributes;  // the answer split up: shown instead of it; or none
};

/// What one model said about a picture, at one level.
struct GalleryAnswer {
  std::string model;               // "attr_seek"
  std::string level;               // "fine"; may be empty where all are of one
  std::vector<GalleryTurn> turns;  // the last one asks for the name
  bool is_right = false;           // EM
};

struct GalleryItem {
  std::string picture;                       // an encoded picture, small (finer/train/thumbnail.h)
  std::string mime;                          // image/png | image/jpeg | image/webp | image/gif
  std::string name;                          // its path
  std::string set;                           // "held-out"
  std::string gold;                          // "pezesus", or several labels joined by ", "
  std::vector<std::string> gold_attributes;  // may be empty
  std::vector<GalleryAnswer> answers;        // side by side, models in one order everywhere
};

/// An attribute turn's answer, split at commas and semicolons, each marked right when it equals one
/// of the gold attributes after normalisation.
std::vector<GalleryAttribute> marked_attributes(const std::string& answer,
                                                const std::vector<std::string>& gold_attributes);

/// Cards with the filter over them (right/wrong, model, set, level; needs kEvalScript); "" for
/// none.
std::string gallery_html(const std::vector<GalleryItem>& items);

}  // namespace finer
