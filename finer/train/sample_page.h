#pragma once

#include "data/inspect.h"
#include "finer/train/run_facts.h"

#include <filesystem>
#include <string>
#include <vector>

namespace finer {

/// One sample on a page.
struct PageSample {
  std::string where;                // "FILE: record I (id X)"
  std::vector<data::TextRun> runs;  // its text, targets told apart
  std::filesystem::path picture;    // empty: none
  std::vector<RunFact> facts;       // tokens, targets, what becomes of it
  std::string fault;                // why there is no text; "": there is
};

/// One self-contained page of samples as training sees them: pictures made small and put in,
/// targets marked, everything escaped. A picture that cannot be read is named with its reason.
std::string sample_page_html(const std::string& title, const std::string& under,
                             const std::vector<PageSample>& samples);

}  // namespace finer
