#include "finer/train/readable.h"

#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <ctime>

namespace finer {
namespace {

__attribute__((format(printf, 1, 2))) std::string readable_printf(const char* format, ...) {
  char text[96];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  return text;
}

// Seconds as a whole number, within what a run can take; a rate of zero gives infinities.
int64_t whole_seconds(double seconds) {
  constexpr double kMost = 1e9;
  return std::isfinite(seconds)
             ? static_cast<int64_t>(std::fmin(std::fmax(seconds, 0), kMost) + 0.5)
             : static_cast<int64_t>(kMost);
}

}  // namespace

std::string readable_count(int64_t n) {
  const std::string digits = std::to_string(n);
  const size_t first = n < 0 ? 1 : 0;
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > first && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

std::string readable_short(double x) {
  if (!std::isfinite(x)) return readable_number(x, 3);
  const double size = std::fabs(x);
  if (size < 9.95) return readable_printf("%.1f", x);
  if (size < 999.5) return readable_printf("%.0f", x);
  const char* const units[] = {"k", "M", "G", "T"};
  double scaled = x / 1e3;
  int unit = 0;
  while (std::fabs(scaled) >= 999.5 && unit < 3) {
    scaled /= 1e3;
    ++unit;
  }
  return readable_printf(std::fabs(scaled) < 99.95 ? "%.1f%s" : "%.0f%s", scaled, units[unit]);
}

std::string readable_bytes(int64_t bytes) {
  if (bytes < 1024) return readable_printf("%lld B", static_cast<long long>(bytes));
  const char* const units[] = {"KiB", "MiB", "GiB", "TiB"};
  double scaled = static_cast<double>(bytes) / 1024;
  int unit = 0;
  while (scaled >= 1023.5 && unit < 3) {
    scaled /= 1024;
    ++unit;
  }
  return readable_printf(scaled < 99.95 ? "%.1f %s" : "%.0f %s", scaled, units[unit]);
}

std::string readable_duration(double seconds) {
  if (std::isfinite(seconds) && seconds < 9.95) return readable_printf("%.1f s", seconds);
  const auto s = static_cast<long long>(whole_seconds(seconds));
  if (s < 60) return readable_printf("%lld s", s);
  if (s < 3600) return readable_printf("%lld min %lld s", s / 60, s % 60);
  if (s < 86400) return readable_printf("%lld h %lld min", s / 3600, s / 60 % 60);
  return readable_printf("%lld d %lld h", s / 86400, s / 3600 % 24);
}

std::string readable_clock(double seconds) {
  const auto s = static_cast<long long>(whole_seconds(seconds));
  if (s < 3600) return readable_printf("%lld:%02lld", s / 60, s % 60);
  if (s < 86400) return readable_printf("%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
  return readable_printf("%lldd %02lld:%02lld:%02lld", s / 86400, s / 3600 % 24, s / 60 % 60,
                         s % 60);
}

std::string readable_number(double x, int significant_digits) {
  return readable_printf("%.*g", significant_digits, x);
}

std::string readable_fixed(double x, int decimals) { return readable_printf("%.*f", decimals, x); }

std::string readable_share(double share) {
  const double percent = 100 * share;
  return readable_printf(percent != 0 && std::fabs(percent) < 9.95 ? "%.1f%%" : "%.0f%%", percent);
}

std::string readable_now() {
  const std::time_t now = std::time(nullptr);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", std::gmtime(&now));
  return text;
}

}  // namespace finer
