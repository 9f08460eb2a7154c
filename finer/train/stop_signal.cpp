#include "finer/train/stop_signal.h"

#include "finer/core/error.h"

#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <string_view>

namespace finer {
namespace {

constexpr int64_t kEchoMs = 2000;

// A handler can reach nothing but globals, and may use only lock-free atomics.
std::atomic<bool> is_installed{false};
std::atomic<int> first_signal{0};
std::atomic<int64_t> first_ms{0};
std::atomic<bool> is_announcing{false};
struct sigaction earlier_int = {};
struct sigaction earlier_term = {};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<int64_t>::is_always_lock_free);

int64_t monotonic_ms() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{1000} * now.tv_sec + now.tv_nsec / 1'000'000;
}

void say_on_stderr(std::string_view text) {
  const ssize_t ignored = ::write(STDERR_FILENO, text.data(), text.size());
  static_cast<void>(ignored);
}

// Async-signal-safe: atomics, clock_gettime, write and _exit only.
extern "C" void finer_on_stop_signal(int signal) {
  const int saved_errno = errno;
  int expected = 0;
  if (first_signal.compare_exchange_strong(expected, signal)) {
    first_ms.store(monotonic_ms());
    if (is_announcing.load()) {
      say_on_stderr(
          "\nstopping after this step, with a checkpoint; once more stops at once, without\n");
    }
  } else {
    const bool is_echo = signal != expected && monotonic_ms() - first_ms.load() < kEchoMs;
    if (!is_echo) {
      if (is_announcing.load())
        say_on_stderr("\nstopped at once; the last complete checkpoint stands\n");
      _exit(128 + signal);
    }
  }
  errno = saved_errno;
}

}  // namespace

StopSignal::StopSignal(bool announces) {
  FINER_CHECK(!is_installed.exchange(true), "one StopSignal at a time");
  first_signal = 0;
  first_ms = monotonic_ms();
  is_announcing = announces;
  struct sigaction action = {};
  action.sa_handler = finer_on_stop_signal;
  action.sa_flags = SA_RESTART;  // a read or write under way goes on
  // Neither interrupts the other's handler.
  sigemptyset(&action.sa_mask);
  sigaddset(&action.sa_mask, SIGINT);
  sigaddset(&action.sa_mask, SIGTERM);
  sigaction(SIGINT, &action, &earlier_int);
  sigaction(SIGTERM, &action, &earlier_term);
}

StopSignal::~StopSignal() {
  sigaction(SIGINT, &earlier_int, nullptr);
  sigaction(SIGTERM, &earlier_term, nullptr);
  is_installed = false;
}

int StopSignal::requested() const { return first_signal.load(); }

}  // namespace finer
