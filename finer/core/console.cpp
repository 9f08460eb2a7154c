#include "finer/core/console.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <mutex>
#include <string>

namespace finer::console {
namespace {

constexpr char kEraseLine[] = "\r\x1b[2K";

struct State {
  std::mutex mutex;
  std::string status;
};

State& state() {
  static auto* const kState = new State;  // never destroyed: lines are written during exit too
  return *kState;
}

bool is_set(const char* name) {
  const char* const value = getenv(name);
  return value != nullptr && *value != '\0';
}

// A broken or full standard error must not end a training run, so failures are let go.
void put(const std::string& bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::write(STDERR_FILENO, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    done += static_cast<size_t>(n);
  }
}

}  // namespace

bool is_live() {
  const char* const term = getenv("TERM");
  const char* const ci = getenv("CI");
  const bool in_ci = is_set("CI") && std::string_view(ci) != "false" && std::string_view(ci) != "0";
  return !in_ci && term != nullptr && *term != '\0' && std::string_view(term) != "dumb" &&
         isatty(STDERR_FILENO) == 1;
}

bool has_color() { return is_live() && !is_set("NO_COLOR"); }

int columns() {
  winsize size = {};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

void write_line(std::string_view line) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  std::string out;
  out.reserve(line.size() + s.status.size() + 16);
  if (!s.status.empty()) out += kEraseLine;
  for (const char c : line) {
    const auto byte = static_cast<unsigned char>(c);
    out += (byte < 0x20 && c != '\t' && c != '\n') || byte == 0x7f ? '?' : c;
  }
  out += '\n';
  out += s.status;
  put(out);  // one write, so that other processes' lines do not fall in between
}

void set_status(std::string_view text) {
  if (!is_live()) return;
  State& s = state();
  const std::lock_guard lock(s.mutex);
  if (text.empty() && s.status.empty()) return;
  s.status = text;
  put(kEraseLine + s.status);
}

}  // namespace finer::console
