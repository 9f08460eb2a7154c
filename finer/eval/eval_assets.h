#pragma once

namespace finer {

/// What an evaluation's page adds to kReportStyle (finer/train/report_assets.h), and its script:
/// the gallery's filter.
extern const char* const kEvalStyle;
extern const char* const kEvalScript;

}  // namespace finer
