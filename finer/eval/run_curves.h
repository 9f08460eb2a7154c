#pragma once

#include "finer/eval/config.h"
#include "finer/eval/report_parts.h"

#include <vector>

namespace finer {

/// Loss curves of training runs, smoothed to about a hundred points each; a run without
/// metrics.jsonl is a fault. Throws: DataError naming the file.
ReportLines loss_curves(const std::vector<EvalRunConfig>& runs);

}  // namespace finer
