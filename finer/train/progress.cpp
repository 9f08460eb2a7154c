#include "finer/train/progress.h"

#include "finer/core/console.h"
#include "finer/train/readable.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace finer {
namespace {

constexpr double kRedrawS = 0.1;
constexpr double kQuietS = 10;
constexpr int kShortestBar = 10;
constexpr int kLongestBar = 40;
constexpr int kBarRank = 3;  // fields of a higher rank make room for the bar
constexpr char kBarColor[] = "\x1b[36m";
constexpr char kPlainColor[] = "\x1b[0m";

struct ProgressField {
  int rank;  // fields of the highest rank are dropped first
  std::string text;
};

// Visible characters with two spaces between fields.
int fields_width(const std::vector<ProgressField>& fields) {
  int width = 0;
  for (const auto& field : fields) width += static_cast<int>(field.text.size()) + 2;
  return width - 2;
}

std::string bar_text(double share, int width, bool has_color) {
  const int inner = width - 2;
  const int done = std::clamp(static_cast<int>(std::floor(share * inner)), 0, inner);
  std::string filled(static_cast<size_t>(done), '=');
  std::string rest(static_cast<size_t>(inner - done), ' ');
  if (done < inner && done > 0) filled.back() = '>';
  return has_color ? "[" + (kBarColor + filled) + kPlainColor + rest + "]"
                   : "[" + filled + rest + "]";
}

}  // namespace

std::string progress_line(const StepMetrics& metrics, int64_t total_steps, double eta_s,
                          int columns, bool has_color) {
  const double share =
      total_steps > 0 ? static_cast<double>(metrics.step) / static_cast<double>(total_steps) : 0;
  std::vector<ProgressField> fields;
  fields.push_back({0, "step " + std::to_string(metrics.step) + "/" + std::to_string(total_steps)});
  // Rounded down: 100% means done.
  fields.push_back(
      {5, std::to_string(total_steps > 0 ? 100 * metrics.step / total_steps : 0) + "%"});
  fields.push_back(
      {0, "loss " + readable_number(metrics.loss, 4) + (metrics.skipped ? " (skipped)" : "")});
  fields.push_back({4, "lr " + readable_number(metrics.lr, 3)});
  fields.push_back({2, readable_short(metrics.tokens_per_s()) + " tok/s"});
  fields.push_back({3, "wait " + readable_share(metrics.data_wait_share())});
  if (eta_s >= 0) fields.push_back({1, "eta " + readable_clock(eta_s)});

  int bar_width = 0;
  if (columns > 0) {
    while (fields.size() > 1) {
      auto victim = fields.begin();
      for (auto field = fields.begin(); field != fields.end(); ++field) {
        if (field->rank >= victim->rank) victim = field;
      }
      const int bar_room = victim->rank > kBarRank ? kShortestBar + 2 : 0;
      if (fields_width(fields) + bar_room <= columns) break;
      fields.erase(victim);
    }
    const int room = columns - fields_width(fields) - 2;
    if (room >= kShortestBar) bar_width = std::min(room, kLongestBar);
  }

  std::string line;
  for (size_t i = 0; i < fields.size(); ++i) {
    if (i > 0) line += "  ";
    line += fields[i].text;
    if (i == 0 && bar_width > 0) line += "  " + bar_text(share, bar_width, has_color);
  }
  if (columns > 0 && bar_width == 0 && static_cast<int>(line.size()) > columns) {
    line.resize(static_cast<size_t>(columns));
  }
  return line;
}

Progress::Progress(int64_t first_step, int64_t total_steps, int64_t every_steps)
    : first_step_(first_step),
      total_steps_(total_steps),
      every_steps_(std::max<int64_t>(every_steps, 1)),
      is_live_(console::is_live()),
      last_update_(Clock::now()),
      last_shown_(last_update_) {}

Progress::~Progress() { finish(); }

double Progress::eta_s(int64_t step, Clock::time_point now) {
  const double seconds = std::chrono::duration<double>(now - last_update_).count();
  last_update_ = now;
  // The first step warms caches and compiles kernels: it would promise a far too late end.
  if (step == first_step_ && total_steps_ > first_step_) return -1;
  constexpr double kKeep = 0.98;  // about the last 50 steps
  step_seconds_ = kKeep * step_seconds_ + (1 - kKeep) * seconds;
  step_weight_ = kKeep * step_weight_ + (1 - kKeep);
  return step_seconds_ / step_weight_ *
         static_cast<double>(std::max<int64_t>(total_steps_ - step, 0));
}

void Progress::update(const StepMetrics& metrics) {
  const auto now = Clock::now();
  const double eta = eta_s(metrics.step, now);
  last_ = metrics;
  const bool is_edge = !has_shown_ || metrics.step >= total_steps_;
  const double quiet_s = std::chrono::duration<double>(now - last_shown_).count();
  if (is_live_) {
    if (!is_edge && quiet_s < kRedrawS) return;
    // The last column stays free: some terminals wrap as soon as it is written.
    const int columns = std::max(console::columns() - 1, 1);
    console::set_status(progress_line(metrics, total_steps_, eta, columns, console::has_color()));
  } else {
    if (!is_edge && metrics.step % every_steps_ != 0 && quiet_s < kQuietS) return;
    console::write_line(progress_line(metrics, total_steps_, eta, 0, false));
  }
  has_shown_ = true;
  last_shown_ = now;
}

void Progress::finish() {
  if (!is_live_ || !has_shown_) return;
  has_shown_ = false;
  console::set_status("");
  console::write_line(progress_line(last_, total_steps_, -1, 0, false));
}

}  // namespace finer
