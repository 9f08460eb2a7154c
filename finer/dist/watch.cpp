#include "finer/dist/watch.h"

#include "finer/core/log.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace finer::dist {

namespace {

// Of timeout_s: the rest is for the exchange of signs and for leaving.
constexpr double kShare = 0.8;
constexpr double kFileTimeouts = 10;
constexpr const char* kFailedKey = "failed";

double seconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

std::string in_seconds(double value) { return std::to_string(std::lround(value)) + " s"; }

// "7 12 rest" -> 7, 12, "rest"; signs come from our own program.
int64_t take_number(std::string_view& text) {
  int64_t value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  text.remove_prefix(std::min(text.size(), static_cast<size_t>(end - text.data()) + 1));
  return value;
}

}  // namespace

Watch::Watch(std::unique_ptr<Store> store, WatchConfig config)
    : config_(std::move(config)),
      interval_s_(std::min(1.0, config_.timeout_s / 20)),
      store_(std::move(store)),
      ranks_(config_.hosts.size()),
      last_exchange_(Clock::now()) {
  for (auto& rank : ranks_) {
    rank.beat_at = rank.progress_at = Clock::now();
    rank.what = "start";
  }
  beat_thread_ = std::thread([this] { beat(); });
  guard_thread_ = std::thread([this] { guard(); });
}

Watch::~Watch() {
  stop();
  beat_thread_.join();
  guard_thread_.join();
}

void Watch::stop() {
  const std::lock_guard<std::mutex> hold(lock_);
  stopping_ = true;
  changed_.notify_all();
}

void Watch::mark(Doing doing, const std::string& what) {
  const std::lock_guard<std::mutex> hold(lock_);
  auto& own = ranks_[static_cast<size_t>(config_.rank)];
  own.doing = doing;
  own.what = what;
  ++own.progress;
  own.progress_at = Clock::now();
}

double Watch::silence_limit_s() const {
  return main_asks_ ? std::max(4 * interval_s_, 1.0) : kShare * config_.timeout_s;
}

std::string Watch::named(int rank) const {
  return "rank " + std::to_string(rank) + " (" + config_.hosts[static_cast<size_t>(rank)] + ")";
}

std::string Watch::own_sign() {
  const std::lock_guard<std::mutex> hold(lock_);
  auto& own = ranks_[static_cast<size_t>(config_.rank)];
  own.beat = ++beats_;
  own.beat_at = Clock::now();
  return std::to_string(own.beat) + " " + std::to_string(own.progress) + " " +
         std::to_string(static_cast<int>(own.doing)) + " " + own.what;
}

void Watch::read_sign(int rank, const std::string& sign) {
  std::string_view rest = sign;
  auto& r = ranks_[static_cast<size_t>(rank)];
  const auto now = Clock::now();
  if (const int64_t beat = take_number(rest); beat != r.beat) {
    r.beat = beat;
    r.beat_at = now;
  }
  if (const int64_t progress = take_number(rest); progress != r.progress) {
    r.progress = progress;
    r.progress_at = now;
  }
  r.doing = static_cast<Doing>(take_number(rest));
  r.what = rest;
}

// Under the lock. Empty while nobody is to blame.
std::string Watch::culprit() {
  const auto now = Clock::now();
  const auto& own = ranks_[static_cast<size_t>(config_.rank)];
  const std::string waiter = "; " + named(config_.rank) + " " +
                             (own.doing == Doing::kWaiting ? "waited for it in: " : "was in: ") +
                             own.what;
  bool all_wait = true;
  double least_still_s = 1e9;
  for (size_t i = 0; i < ranks_.size(); ++i) {
    const auto& r = ranks_[i];
    const double silent_s = seconds(now - r.beat_at), still_s = seconds(now - r.progress_at);
    const bool is_own = static_cast<int>(i) == config_.rank;
    if (!is_own && silent_s > silence_limit_s()) {
      return named(static_cast<int>(i)) + " has given no sign for " + in_seconds(silent_s) +
             ", its last was in: " + r.what + waiter;
    }
    const double limit_s =
        kShare * config_.timeout_s * (r.doing == Doing::kFiles ? kFileTimeouts : 1.0);
    const bool is_alive = is_own || silent_s < 4 * interval_s_;  // else it is silent, not slow
    if (r.doing != Doing::kWaiting && is_alive && still_s > limit_s) {
      return named(static_cast<int>(i)) + " has not moved for " + in_seconds(still_s) +
             " in: " + r.what + (is_own ? "" : waiter);
    }
    all_wait = all_wait && r.doing == Doing::kWaiting;
    least_still_s = std::min(least_still_s, still_s);
  }
  if (!all_wait || least_still_s <= kShare * config_.timeout_s) return "";
  std::string line = "all ranks have waited for each other for " + in_seconds(least_still_s);
  for (size_t i = 0; i < std::min<size_t>(4, ranks_.size()); ++i)
    line += (i == 0 ? ": rank " : ", rank ") + std::to_string(i) + " in: " + ranks_[i].what;
  return line;
}

void Watch::exchange() {
  const auto key = [](size_t rank) { return "sign/" + std::to_string(rank); };
  store_->set(key(static_cast<size_t>(config_.rank)), own_sign());
  if (const auto failed = store_->get(kFailedKey)) {
    std::string_view rest = *failed;
    const auto by = static_cast<int>(take_number(rest));
    const auto code = static_cast<int>(take_number(rest));
    settle({by == config_.rank, code, std::string(rest)});
    return;
  }
  if (!everyone_signed_) {
    everyone_signed_ = true;
    for (size_t i = 0; i < ranks_.size(); ++i)
      everyone_signed_ = everyone_signed_ && store_->get(key(i)).has_value();
  }
  std::vector<std::string> keys, signs;
  for (size_t i = 0; i < ranks_.size(); ++i) keys.push_back(key(i));
  if (everyone_signed_) signs = store_->get_all(keys);
  Verdict found;
  {
    const std::lock_guard<std::mutex> hold(lock_);
    last_exchange_ = Clock::now();
    for (size_t i = 0; i < signs.size(); ++i) {
      if (static_cast<int>(i) != config_.rank) read_sign(static_cast<int>(i), signs[i]);
    }
    if (own_failure_) {
      found = *own_failure_;
    } else {
      found.line = culprit();
    }
  }
  if (found.line.empty()) return;
  found.is_ours = store_->claim(kFailedKey, std::to_string(config_.rank) + " " +
                                                std::to_string(found.exit_code) + " " + found.line);
  if (found.is_ours) settle(found);  // otherwise the next exchange reads what the first one said
}

void Watch::settle(const Verdict& verdict) {
  {
    const std::lock_guard<std::mutex> hold(lock_);
    if (verdict_ || stopping_) return;
    verdict_ = verdict;
    changed_.notify_all();
    if (main_knows_) return;
  }
  leave(verdict);
}

// The main thread cannot be reached: the process ends here.
void Watch::leave(const Verdict& verdict) {
  if (verdict.is_ours) {
    log::info(verdict.line);
  } else {
    log::debug("another rank ended the job: " + verdict.line);
  }
  if (config_.holds_store)  // so that the others read why
    std::this_thread::sleep_for(std::chrono::duration<double>(2.5 * interval_s_));
  if (!config_.end_process) _exit(verdict.exit_code);
  config_.end_process(verdict.exit_code);
}

void Watch::beat() {
  for (;;) {
    try {
      exchange();
    } catch (const LinkError&) {
      std::string what;
      {
        const std::lock_guard<std::mutex> hold(lock_);
        what = ranks_[static_cast<size_t>(config_.rank)].what;
      }
      // Nothing can be agreed on any more: of those that see it the first rank tells.
      settle({config_.rank <= 1, 1,
              "the job's store at " + config_.store +
                  " is gone, and rank 0 or its launcher with it; " + named(config_.rank) +
                  " was in: " + what});
      return;
    }
    std::unique_lock<std::mutex> hold(lock_);
    changed_.wait_for(hold, std::chrono::duration<double>(interval_s_),
                      [&] { return stopping_ || (own_failure_ && !verdict_); });
    if (stopping_ || verdict_) return;
  }
}

// The beat thread may itself be stuck in a call to a store that a cut cable leads to.
void Watch::guard() {
  std::unique_lock<std::mutex> hold(lock_);
  while (!stopping_ && !verdict_) {
    changed_.wait_for(hold, std::chrono::duration<double>(interval_s_));
    const double silent_s = seconds(Clock::now() - last_exchange_);
    if (stopping_ || verdict_ || silent_s <= kShare * config_.timeout_s) continue;
    const Verdict verdict{true, 1,
                          "the job's store at " + config_.store + " has not answered " +
                              named(config_.rank) + " for " + in_seconds(silent_s) +
                              ": rank 0's machine, or the network to it, is gone; " +
                              "it was in: " + ranks_[static_cast<size_t>(config_.rank)].what};
    hold.unlock();
    settle(verdict);
    return;
  }
}

Watch::Verdict Watch::explain(const std::string& fault) {
  std::unique_lock<std::mutex> hold(lock_);
  main_knows_ = main_asks_ = true;
  const std::string what = ranks_[static_cast<size_t>(config_.rank)].what;
  const double patience_s = silence_limit_s() + 4 * interval_s_ + 1;
  const auto is_known = [&] { return verdict_.has_value(); };
  if (!changed_.wait_for(hold, std::chrono::duration<double>(patience_s), is_known)) {
    own_failure_ = Verdict{
        false, 1,
        named(config_.rank) + " lost its link to another rank in: " + what + " (" + fault + ")"};
    changed_.notify_all();
    changed_.wait_for(hold, std::chrono::duration<double>(4 * interval_s_ + 1), is_known);
  }
  auto out = verdict_.value_or(Verdict{true, 1, own_failure_ ? own_failure_->line : fault});
  hold.unlock();
  if (config_.holds_store)
    std::this_thread::sleep_for(std::chrono::duration<double>(2.5 * interval_s_));
  return out;
}

Watch::Verdict Watch::publish(const std::string& line, int exit_code) {
  std::unique_lock<std::mutex> hold(lock_);
  main_knows_ = true;
  if (stopping_) return {true, exit_code, line};
  own_failure_ = Verdict{true, exit_code, line};
  changed_.notify_all();
  changed_.wait_for(hold, std::chrono::duration<double>(4 * interval_s_ + 1),
                    [&] { return verdict_.has_value(); });
  const auto out = verdict_.value_or(*own_failure_);
  hold.unlock();
  if (config_.holds_store)
    std::this_thread::sleep_for(std::chrono::duration<double>(2.5 * interval_s_));
  return out;
}

}  // namespace finer::dist
