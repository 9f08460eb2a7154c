#pragma once

#include "finer/dist/process_group.h"

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace finer::dist {

/// What a rank is doing, which decides how long it may take.
enum class Doing {
  kWork,     // computes: timeout_s
  kFiles,    // reads or writes files, answers an evaluation: ten times as long
  kWaiting,  // for the other ranks: as long as one of them does something else
};

struct WatchConfig {
  int rank = 0;
  std::vector<std::string> hosts;  // machine of each rank
  double timeout_s = 60;
  bool holds_store = false;
  std::string store;                               // "host:port"
  std::function<void(int exit_code)> end_process;  // tests only; empty: _exit
};

/// Ends the job when a rank dies, hangs or fails: one line, from one rank, that names it and what
/// it was waited for.
///
/// Each rank writes a sign of life with what it is doing to the store, and reads those of the
/// others. A rank without a sign, or that does the same for too long, ends the job before timeout_s
/// is over. The main thread may be in a call that nothing interrupts, so a thread of the watch ends
/// the process: the only place outside of tools/ that does.
class Watch {
 public:
  Watch(std::unique_ptr<Store> store, WatchConfig config);
  ~Watch();  // no signs any more: call stop() on all ranks and let them meet first
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  /// From here on this rank does `what`, for example "step 7, pass 2". Main thread.
  void mark(Doing doing, const std::string& what);

  /// How the job ended, once it has.
  struct Verdict {
    bool is_ours = false;  // this rank tells; the others stay silent
    int exit_code = 1;
    std::string line;
  };
  /// After a LinkError: waits a few seconds until it is known who is the cause. `fault` is c10d's
  /// own text, told where nobody is found.
  Verdict explain(const std::string& fault);
  /// Tells the others that this rank fails with `line`.
  Verdict publish(const std::string& line, int exit_code);

  /// From here on nobody is judged: the ranks leave one after the other.
  void stop();

 private:
  using Clock = std::chrono::steady_clock;
  struct Rank {
    int64_t beat = -1, progress = -1;
    Doing doing = Doing::kWork;
    std::string what;
    Clock::time_point beat_at, progress_at;
  };

  void beat();
  void guard();
  void exchange();
  std::string own_sign();
  void read_sign(int rank, const std::string& sign);
  std::string culprit();
  void settle(const Verdict& verdict);
  void leave(const Verdict& verdict);
  std::string named(int rank) const;
  double silence_limit_s() const;

  const WatchConfig config_;
  const double interval_s_;
  std::unique_ptr<Store> store_;  // the beat thread's
  std::vector<Rank> ranks_;       // own rank included
  bool everyone_signed_ = false;  // beat thread

  std::mutex lock_;  // guards what follows, and ranks_
  std::condition_variable changed_;
  bool stopping_ = false;
  bool main_knows_ = false;  // the main thread ends the process, not the watch
  bool main_asks_ = false;   // it waits for a verdict: silence is found sooner
  int64_t beats_ = 0;
  Clock::time_point last_exchange_;
  std::optional<Verdict> own_failure_;
  std::optional<Verdict> verdict_;
  std::thread beat_thread_, guard_thread_;
};

}  // namespace finer::dist
