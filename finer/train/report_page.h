#pragma once

#include "finer/train/run_facts.h"

#include <string>
#include <vector>

namespace finer {

/// The frame that all of finer's pages share, and parts that several of them show. Texts are plain
/// and are escaped here; what is called html has been escaped before.

/// One file that asks nobody for anything, which its content policy makes sure of.
struct ReportPage {
  std::string kicker;      // the line over the title: "finer training run"
  std::string title;       // plain text
  std::string under_html;  // under the title, one line
  std::string body_html;
  std::string style;   // besides kReportStyle
  std::string script;  // at the end of the page
};
std::string page_html(const ReportPage& page);

/// A figure with its name, as an element of <ul class="tiles">.
std::string tile_html(const std::string& name, const std::string& value,
                      const std::string& more = "");

/// Names and values; "" for none.
std::string facts_html(const std::string& title, const std::vector<RunFact>& facts);

/// A picture within the page, `name` as its description; small PNGs keep their hard pixels.
/// Throws: std::logic_error when the mime is none of image/{png,jpeg,webp,gif}.
std::string picture_html(const std::string& bytes, const std::string& mime,
                         const std::string& name);

/// A recipe to be opened; "" for none.
std::string recipe_html(const std::string& yaml);

}  // namespace finer
