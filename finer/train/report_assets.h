#pragma once

namespace finer {

/// Style sheet and script of RUN/report.html; both stand within the page.
extern const char* const kReportStyle;
extern const char* const kReportScript;

}  // namespace finer
