#pragma once

#include <cstdint>
#include <string>

namespace finer {

/// Numbers as people read them: in progress lines, the report and the model card. Files for
/// programs get full precision instead.
std::string readable_count(int64_t n);          // 5,197
std::string readable_short(double x);           // 812, 8.1k, 3.4M
std::string readable_bytes(int64_t bytes);      // 14.2 GiB
std::string readable_duration(double seconds);  // 0.8 s, 42 s, 3 min 20 s, 1 h 23 min, 2 d 4 h
std::string readable_clock(double seconds);     // 0:42, 1:23:45, 2d 04:10:00
std::string readable_number(double x, int significant_digits);  // %g, "nan" and "inf" included
std::string readable_fixed(double x, int decimals);             // %f
std::string readable_share(double share);                       // 0.4%, 12%
std::string readable_now();                                     // 2026-11-25 09:30 UTC

}  // namespace finer
