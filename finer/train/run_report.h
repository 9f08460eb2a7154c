#pragma once

#include "finer/train/metrics.h"
#include "finer/train/run_facts.h"

#include <string>
#include <vector>

namespace finer {

/// A picture with a question, what should be answered and what the model answered.
struct ReportSample {
  std::string picture;  // an encoded picture, small (see thumbnail.h); empty: none
  std::string mime;     // image/png | image/jpeg | image/webp | image/gif
  std::string name;     // the picture's path or the sample's id
  std::string question;
  std::string gold;
  std::string before;  // the answer before training; empty: not shown
  std::string answer;
};

/// What RUN/report.html shows. Empty parts are left out of the page.
struct RunReport {
  std::string title;                 // the run's name
  std::string outcome;               // "finished", "stopped by SIGINT at step 120"
  bool is_complete = false;          // all steps were taken
  std::string when;                  // date and time of the end
  std::vector<RunFact> headline;     // scores and such, shown first
  std::vector<StepMetrics> metrics;  // read_metrics(RUN/metrics.jsonl)
  std::vector<TrainedPart> parts;
  std::vector<TrainedSet> sets;
  std::vector<RunFact> counts;       // samples dropped, cut, skipped
  std::vector<RunFact> environment;  // finer's version and commit, LibTorch, CUDA, device, ranks
  std::string recipe_yaml;
  std::vector<ReportSample> samples;
};

/// One self-contained page: no request leaves it, it reads from file://, on light and dark screens
/// of 400 px and more. All texts are escaped. Throws: std::logic_error when a picture's mime is
/// none of the four.
std::string render(const RunReport& report);

}  // namespace finer
