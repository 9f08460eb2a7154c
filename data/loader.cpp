#include "data/loader.h"

#include "data/share.h"
#include "finer/core/error.h"
#include "finer/core/log.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

namespace finer::data {

namespace {

using Outcome = SampleSource::Outcome;
using Clock = std::chrono::steady_clock;

// One optimizer step while it is being prepared. The lock guards `claimed`, `open` and `is_ready`;
// a slot of the vectors belongs to the worker that claimed it, and everything to the one that
// finishes the last slot.
struct StepWork {
  StepBatch batch;
  std::vector<SampleRef> refs;   // whose slots are being worked on
  std::vector<bool> stays_with;  // of each: whether it stays with the one before it (same picture)
  std::vector<int64_t> lengths;  // of all the step's samples, while they are being counted
  bool is_counting = false;      // several ranks: first every sample's tokens, then the own share
  std::vector<SampleSource::Prepared> prepared;
  std::vector<std::exception_ptr> faults;
  size_t claimed = 0;  // slots handed out
  size_t open = 0;     // slots not finished yet
  bool is_ready = false;
  std::exception_ptr fault;          // of the first sample, in order, that failed
  std::vector<std::string> skipped;  // reasons of bad records, in order
};

}  // namespace

struct Loader::Impl {
  Impl(const SampleSource& sample_source, Sampler order, const DataConfig& data,
       const BatchConfig& batch, int64_t first_step, int64_t first_position, int64_t end_position,
       LoaderCounts start, RankShare rank_share)
      : source(sample_source),
        sampler(std::move(order)),
        step_samples(batch.samples),
        device_tokens(batch.device_tokens),
        shares_prefix(batch.share_prefix),
        max_bad_records(data.max_bad_records),
        most_in_flight(static_cast<size_t>(std::max<int64_t>(1, data.prefetch_steps))),
        next_step(first_step),
        cursor(first_position),
        last_position(end_position),
        share(rank_share),
        counts(start) {
    FINER_CHECK(step_samples > 0, "batch.samples above 0");
    FINER_CHECK(first_position >= 0, "a cursor from 0 on");
    try {
      for (int64_t i = 0; i < data.workers; ++i) {
        threads.emplace_back([this] { work(); });
      }
    } catch (...) {  // the system has no more threads: end those that started
      stop();
      throw;
    }
  }
  ~Impl() { stop(); }

  void stop() {
    {
      const std::lock_guard<std::mutex> hold(lock);
      stopping = true;
    }
    work_changed.notify_all();
    for (auto& thread : threads) thread.join();
    threads.clear();
  }

  // Lays out the step at the cursor. Under the lock. Null at the end of the run.
  std::unique_ptr<StepWork> plan() {
    if (cursor >= last_position) return nullptr;
    const int64_t epoch_end = (cursor / sampler.epoch_size() + 1) * sampler.epoch_size();
    const int64_t limit = std::min(epoch_end, last_position);
    const int64_t end = cursor + std::min(step_samples, limit - cursor);
    auto step = std::make_unique<StepWork>();
    step->batch.step = next_step++;
    step->batch.first_position = cursor;
    step->batch.next_position = end;
    // A group longer than a rank's part of the step would leave other ranks with nothing to do.
    const int64_t most = std::max<int64_t>(1, (end - cursor) / share.size);
    int64_t together = 0;
    for (int64_t position = cursor; position < end; ++position) {
      const SampleRef ref = sampler.at(position);
      const bool stays =
          together > 0 && together < most && sampler.same_group(step->refs.back(), ref);
      together = stays ? together + 1 : 1;
      step->stays_with.push_back(stays);
      step->refs.push_back(ref);
    }
    step->is_counting = share.size > 1;
    if (step->is_counting) {
      step->lengths.resize(step->refs.size());
      step->open = step->refs.size();
    } else {
      open_slots(*step);
    }
    cursor = end;
    return step;
  }

  static void open_slots(StepWork& step) {
    step.is_counting = false;
    step.claimed = 0;
    step.open = step.refs.size();
    step.prepared.resize(step.refs.size());
    step.faults.resize(step.refs.size());
  }

  // All lengths are known: what is left to do is this rank's share, in the step's order.
  void take_share(StepWork& step) const {
    std::vector<SampleRef> own;
    std::vector<bool> own_stays_with;
    const auto shares = share_groups(step.lengths, step.stays_with, share.size);
    for (const size_t slot : shares.at(static_cast<size_t>(share.rank))) {
      own.push_back(step.refs[slot]);
      own_stays_with.push_back(step.stays_with[slot]);
    }
    step.refs = std::move(own);
    step.stays_with = std::move(own_stays_with);
    open_slots(step);
  }

  void work_on(StepWork& step, size_t slot) const {
    if (step.is_counting) {
      step.lengths[slot] = source.num_tokens(step.refs[slot]);
      if (has_picture_before(step, slot))
        step.lengths[slot] = std::max(std::min<int64_t>(1, step.lengths[slot]),
                                      step.lengths[slot] - source.image_positions());
    } else {
      prepare(step, slot);
    }
  }

  // Whether the sample before it brings the slot's picture.
  bool has_picture_before(const StepWork& step, size_t slot) const {
    return shares_prefix && step.stays_with[slot];
  }

  void prepare(StepWork& step, size_t slot) const {
    try {
      step.prepared[slot] = source.prepare(step.refs[slot], !has_picture_before(step, slot));
    } catch (...) {
      step.faults[slot] = std::current_exception();
    }
  }

  // Packs a step whose slots are all finished.
  void assemble(StepWork& step) const {
    for (const auto& fault : step.faults) {
      if (fault) {
        step.fault = fault;
        step.prepared.clear();
        return;
      }
    }
    try {
      pack_passes(step);
    } catch (...) {
      step.fault = std::current_exception();
    }
  }

  // Samples that came without their picture, and have none before them in their pass after all: it
  // was dropped, or belongs to the pass before.
  void read_missing_pictures(StepWork& step, const std::vector<int64_t>& pass_sizes) const {
    size_t slot = 0;
    for (const int64_t size : pass_sizes) {
      const size_t begin = slot;
      for (; slot < begin + static_cast<size_t>(size); ++slot) {
        const auto& sample = step.prepared[slot].sample;
        if (sample.image_begin < 0 || !sample.pixels.empty()) continue;
        if (slot > begin && step.prepared[slot - 1].sample.picture == sample.picture) continue;
        step.prepared[slot] = source.prepare(sample.ref);
      }
    }
  }

  // Counts the samples that are not packed, and takes them out.
  static void leave_out(StepWork& step) {
    LoaderCounts& counts = step.batch.counts;
    std::erase_if(step.prepared, [&](SampleSource::Prepared& prepared) {
      counts.dropped_over_length += prepared.outcome == Outcome::kOverLength;
      counts.dropped_zero_label += prepared.outcome == Outcome::kZeroLabel;
      if (prepared.outcome == Outcome::kBad) {
        ++counts.bad_records;
        step.skipped.push_back(std::move(prepared.reason));
      }
      return prepared.outcome != Outcome::kReady;
    });
  }

  std::vector<int64_t> pass_sizes(const StepWork& step) const {
    std::vector<int64_t> lengths;
    for (const auto& prepared : step.prepared)
      lengths.push_back(static_cast<int64_t>(prepared.sample.input_ids.size()));
    return split_by_tokens(lengths, device_tokens);
  }

  void pack_passes(StepWork& step) const {
    StepBatch& batch = step.batch;
    leave_out(step);
    auto sizes = pass_sizes(step);
    if (shares_prefix) {
      for (;;) {  // a picture may turn out to be broken only now: then passes are laid out again
        read_missing_pictures(step, sizes);
        const size_t before = step.prepared.size();
        leave_out(step);
        if (step.prepared.size() == before) break;
        sizes = pass_sizes(step);
      }
    }
    batch.num_samples = static_cast<int64_t>(step.prepared.size());
    batch.counts.samples = batch.num_samples;
    auto from = step.prepared.begin();
    for (const int64_t size : sizes) {
      std::vector<ReadySample> samples;
      for (const auto to = from + size; from != to; ++from) {
        batch.counts.cut += from->was_cut;
        samples.push_back(std::move(from->sample));
      }
      batch.passes.push_back(pack(std::move(samples), shares_prefix));
      const PackedBatch& pass = batch.passes.back();
      batch.num_tokens += pass.num_tokens();
      batch.num_label_tokens += pass.num_label_tokens;
      batch.label_weight += pass.label_weight;
    }
    step.prepared.clear();
    batch.num_passes = static_cast<int64_t>(batch.passes.size());
  }

  // The oldest step with a slot to hand out; plans one more when there is room. Under the lock.
  StepWork* step_with_work() {
    for (const auto& step : in_flight) {
      if (step->claimed < step->refs.size()) return step.get();
    }
    if (in_flight.size() >= most_in_flight) return nullptr;
    auto step = plan();
    if (!step) return nullptr;
    in_flight.push_back(std::move(step));
    return in_flight.back().get();
  }

  void work() {
    std::unique_lock<std::mutex> hold(lock);
    for (;;) {
      StepWork* step = nullptr;
      work_changed.wait(hold, [&] {
        if (stopping) return true;
        try {
          step = step_with_work();
        } catch (...) {  // no memory for the plan: next() tells
          plan_fault = std::current_exception();
          step_ready.notify_all();
          return false;
        }
        return step != nullptr;
      });
      if (stopping) return;
      const size_t slot = step->claimed++;
      hold.unlock();
      work_on(*step, slot);
      hold.lock();
      if (--step->open > 0) continue;
      if (step->is_counting) {
        take_share(*step);
        work_changed.notify_all();
        if (step->open > 0) continue;
      }
      hold.unlock();
      assemble(*step);
      hold.lock();
      step->is_ready = true;
      step_ready.notify_all();
    }
  }

  // The next step with all its slots finished; null at the end.
  std::unique_ptr<StepWork> take() {
    if (threads.empty()) {
      auto step = plan();
      if (!step) return nullptr;
      if (step->is_counting) {
        for (size_t slot = 0; slot < step->refs.size(); ++slot) work_on(*step, slot);
        take_share(*step);
      }
      for (size_t slot = 0; slot < step->refs.size(); ++slot) {
        prepare(*step, slot);
        if (step->faults[slot]) break;
      }
      assemble(*step);
      return step;
    }
    std::unique_lock<std::mutex> hold(lock);
    step_ready.wait(hold, [&] {
      if (in_flight.empty()) return cursor >= last_position || plan_fault != nullptr;
      return in_flight.front()->is_ready;
    });
    if (in_flight.empty()) {
      if (plan_fault) std::rethrow_exception(plan_fault);
      return nullptr;
    }
    auto step = std::move(in_flight.front());
    in_flight.pop_front();
    hold.unlock();
    work_changed.notify_all();
    return step;
  }

  // Adds the step's counts to the totals; too many bad records end the run.
  void count(StepWork& step) {
    const LoaderCounts& own = step.batch.counts;
    for (const auto& reason : step.skipped) {
      log::warn("skipped: " + reason);
      if (++counts.bad_records > max_bad_records) {
        throw DataError("data.max_bad_records: more than " + std::to_string(max_bad_records) +
                        " records were skipped; the last one: " + reason);
      }
    }
    counts.samples += own.samples;
    counts.cut += own.cut;
    counts.dropped_over_length += own.dropped_over_length;
    counts.dropped_zero_label += own.dropped_zero_label;
    step.batch.counts = counts;
  }

  std::optional<StepBatch> next() {
    if (failed) std::rethrow_exception(failed);
    const auto start = Clock::now();
    try {
      auto step = take();
      if (!step) return std::nullopt;
      if (step->fault) std::rethrow_exception(step->fault);
      count(*step);
      step->batch.wait_s = std::chrono::duration<double>(Clock::now() - start).count();
      return std::move(step->batch);
    } catch (...) {
      failed = std::current_exception();
      throw;
    }
  }

  const SampleSource& source;
  Sampler sampler;  // plan() only, under the lock
  const int64_t step_samples;
  const int64_t device_tokens;
  const bool shares_prefix;
  const int64_t max_bad_records;
  const size_t most_in_flight;
  int64_t next_step;
  int64_t cursor;  // sampler position of the next step to plan
  const int64_t last_position;
  const RankShare share;
  LoaderCounts counts;        // next() only
  std::exception_ptr failed;  // next() only

  std::mutex lock;
  std::condition_variable work_changed;  // room for a step, or the end: workers wait for it
  std::condition_variable step_ready;    // next() waits for it
  std::deque<std::unique_ptr<StepWork>> in_flight;
  std::exception_ptr plan_fault;
  bool stopping = false;
  std::vector<std::thread> threads;
};

Loader::Loader(const SampleSource& source, Sampler sampler, const DataConfig& data,
               const BatchConfig& batch, int64_t first_step, int64_t first_position,
               int64_t last_position, LoaderCounts counts, RankShare share)
    : impl_(std::make_unique<Impl>(source, std::move(sampler), data, batch, first_step,
                                   first_position, last_position, counts, share)) {}

Loader::~Loader() = default;

std::optional<StepBatch> Loader::next() { return impl_->next(); }

}  // namespace finer::data
