#include "finer/eval/run_curves.h"

#include "finer/core/error.h"
#include "finer/train/metrics.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

namespace finer {

namespace {

constexpr size_t kPoints = 100;

// Means of as many neighbouring steps as leave about kPoints of them.
ReportLine smoothed(const std::string& name, const std::vector<StepMetrics>& steps) {
  ReportLine line{.name = name};
  const size_t width = std::max<size_t>(1, steps.size() / kPoints);
  for (size_t begin = 0; begin < steps.size(); begin += width) {
    const size_t end = std::min(steps.size(), begin + width);
    double sum = 0, count = 0;
    for (size_t i = begin; i < end; ++i) {
      if (!std::isfinite(steps[i].loss)) continue;
      sum += steps[i].loss;
      count += 1;
    }
    line.x.push_back(static_cast<double>(steps[begin].step + steps[end - 1].step) / 2);
    line.y.push_back(count > 0 ? sum / count : std::nan(""));
  }
  return line;
}

}  // namespace

ReportLines loss_curves(const std::vector<EvalRunConfig>& runs) {
  ReportLines lines{.title = "Loss in training", .is_log = true};
  lines.note = "Mean over the target tokens of a step. Runs on other data are not comparable.";
  for (const auto& run : runs) {
    const auto file = std::filesystem::path(run.run) / "metrics.jsonl";
    if (!std::filesystem::is_regular_file(file)) {
      throw DataError("report.runs: " + file.string() +
                      " is not there; expected the folder of a training run");
    }
    lines.lines.push_back(smoothed(run.name, read_metrics(file)));
  }
  return lines;
}

}  // namespace finer
