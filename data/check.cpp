#include "data/check.h"

#include "data/dataset.h"
#include "finer/core/error.h"
#include "finer/core/quote.h"
#include "finer/core/rng.h"
#include "finer/image/decode.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>

namespace finer::data {

namespace {

constexpr size_t kExamples = 10;
constexpr int64_t kBlock = 512;  // samples a thread takes at a time

// What one thread found; put together in the end.
struct Findings {
  CheckReport report;
  std::vector<uint64_t> id_hashes;
};

class SampleChecker {
 public:
  SampleChecker(const Dataset& dataset, const CheckOptions& options)
      : dataset_(dataset), options_(options) {}

  void check(int64_t index, Findings& findings) const {
    auto& report = findings.report;
    ++report.samples;
    Sample sample;
    try {
      sample = dataset_.read(index);
    } catch (const DataError& error) {
      add(report, index, FaultKind::kStructure, error.what());
      ++report.faulty_samples;
      return;
    }
    report.with_picture += sample.image.has_value();
    report.turns.push_back(static_cast<int32_t>(sample.turns.size()));
    findings.id_hashes.push_back(hash_bytes(sample.id, sample.id_is_number ? 1 : 2));
    bool is_good = check_turns(index, sample, report);
    is_good = check_picture(index, sample, report) && is_good;
    report.faulty_samples += !is_good;
  }

 private:
  void add(CheckReport& report, int64_t index, FaultKind kind, const std::string& text) const {
    ++report.faults[static_cast<size_t>(kind)];
    if (report.examples.size() < kExamples) report.examples.push_back({index, kind, text});
  }
  bool fault(CheckReport& report, int64_t index, const Sample& sample, FaultKind kind,
             const std::string& reason) const {
    add(report, index, kind, dataset_.where(index, sample.id) + ": " + reason);
    return false;
  }

  bool check_turns(int64_t index, const Sample& sample, CheckReport& report) const {
    if (options_.tokenizer != nullptr) return check_tokens(index, sample, report);
    const bool is_chat = options_.conversation != ConversationKind::kPlain;
    for (size_t i = 0; i < sample.turns.size(); ++i) {
      if (sample.turns[i].value.find_first_not_of(" \t\r\n") != std::string::npos) continue;
      return fault(report, index, sample, FaultKind::kTurns,
                   "turn " + std::to_string(i) + " is empty; expected text");
    }
    if (sample.turns.back().from == "human") {
      return fault(report, index, sample, FaultKind::kTurns,
                   "ends with a question; expected its answer");
    }
    if (is_chat && sample.turns.size() == 1) {
      return fault(
          report, index, sample, FaultKind::kNoTarget,
          "has an answer without a question, which training leaves out: no target is left");
    }
    return true;
  }

  bool check_tokens(int64_t index, const Sample& sample, CheckReport& report) const {
    TokenizedSample tokens;
    try {
      tokens = tokenize_conversation(*options_.tokenizer, options_.conversation, sample.turns,
                                     sample.image.has_value());
    } catch (const DataError& error) {
      return fault(report, index, sample, FaultKind::kTurns, error.what());
    }
    const int64_t length = static_cast<int64_t>(tokens.input_ids.size()) +
                           (sample.image ? options_.image_positions - 1 : 0);
    const auto targets =
        std::count_if(tokens.labels.begin() + (tokens.labels.empty() ? 0 : 1), tokens.labels.end(),
                      [](int64_t label) { return label != kIgnoreLabel; });
    report.tokens.push_back(length);
    report.label_tokens += targets;
    bool is_good = true;
    if (targets == 0) {
      is_good = fault(report, index, sample, FaultKind::kNoTarget, "has no target token");
    }
    if (options_.max_tokens > 0 && length > options_.max_tokens) {
      is_good = fault(report, index, sample, FaultKind::kTooLong,
                      "has " + std::to_string(length) + " tokens; the limit is " +
                          std::to_string(options_.max_tokens));
    }
    return is_good;
  }

  bool check_picture(int64_t index, const Sample& sample, CheckReport& report) const {
    if (!sample.image || !options_.images) return true;
    try {
      const auto path = resolve_inside(*options_.images, *sample.image);
      std::error_code problem;
      const auto status = std::filesystem::status(path, problem);
      if (!std::filesystem::exists(status)) {
        throw DataError(quote(path.string()) + " is not there");
      }
      if (!std::filesystem::is_regular_file(status)) {
        throw DataError(quote(path.string()) + " is not a file");
      }
      if (options_.decodes_pictures) decode_image(path);
      return true;
    } catch (const DataError& error) {
      return fault(report, index, sample, FaultKind::kPicture,
                   std::string("picture: ") + error.what());
    }
  }

  const Dataset& dataset_;
  const CheckOptions& options_;
};

void merge(CheckReport& into, const CheckReport& from) {
  into.samples += from.samples;
  into.with_picture += from.with_picture;
  into.faulty_samples += from.faulty_samples;
  into.label_tokens += from.label_tokens;
  for (size_t kind = 0; kind < into.faults.size(); ++kind) into.faults[kind] += from.faults[kind];
  into.turns.insert(into.turns.end(), from.turns.begin(), from.turns.end());
  into.tokens.insert(into.tokens.end(), from.tokens.begin(), from.tokens.end());
  into.examples.insert(into.examples.end(), from.examples.begin(), from.examples.end());
}

std::string thousands(int64_t number) {
  std::string text = std::to_string(number);
  for (size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, 1, ',');
  return text;
}

template <class T>
std::string spread_text(const std::vector<T>& sorted) {
  const auto at = [&](double share) {
    return thousands(sorted[static_cast<size_t>(share * static_cast<double>(sorted.size() - 1))]);
  };
  return "min " + at(0) + ", median " + at(0.5) + ", 95% " + at(0.95) + ", max " + at(1);
}

}  // namespace

CheckReport check_file(const std::filesystem::path& file, const CheckOptions& options,
                       const std::function<void(const std::string&)>& status) {
  const auto dataset = Dataset::open(file);
  const SampleChecker checker(dataset, options);
  std::vector<Findings> found(static_cast<size_t>(std::max<int64_t>(1, options.threads)));
  std::atomic<int64_t> next{0};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto work = [&](Findings& findings) {
    try {
      for (;;) {
        const int64_t begin = next.fetch_add(kBlock);
        if (begin >= dataset.size()) return;
        for (int64_t i = begin; i < std::min(begin + kBlock, dataset.size()); ++i) {
          checker.check(i, findings);
        }
        const std::lock_guard lock(mutex);
        status("checked " + std::to_string(begin) + " of " + std::to_string(dataset.size()));
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      next = dataset.size();
    }
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < found.size(); ++i) threads.emplace_back(work, std::ref(found[i]));
  work(found.front());
  for (auto& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);

  CheckReport report;
  std::vector<uint64_t> ids;
  for (const auto& part : found) {
    merge(report, part.report);
    ids.insert(ids.end(), part.id_hashes.begin(), part.id_hashes.end());
  }
  std::sort(report.turns.begin(), report.turns.end());
  std::sort(report.tokens.begin(), report.tokens.end());
  std::stable_sort(report.examples.begin(), report.examples.end(),
                   [](const SampleFault& a, const SampleFault& b) { return a.index < b.index; });
  if (report.examples.size() > kExamples) report.examples.resize(kExamples);
  std::sort(ids.begin(), ids.end());
  report.ids_twice = static_cast<int64_t>(ids.end() - std::unique(ids.begin(), ids.end()));
  return report;
}

std::vector<std::string> check_table(const CheckReport& report) {
  std::vector<std::string> lines;
  const auto line = [&](const std::string& name, const std::string& text) {
    lines.push_back(name + std::string(name.size() < 22 ? 22 - name.size() : 1, ' ') + text);
  };
  line("samples", thousands(report.samples));
  line("  with a picture", thousands(report.with_picture));
  line("  text only", thousands(static_cast<int64_t>(report.turns.size()) - report.with_picture));
  if (!report.turns.empty()) line("turns", spread_text(report.turns));
  if (!report.tokens.empty()) {
    line("tokens", spread_text(report.tokens));
    line("target tokens", thousands(report.label_tokens));
  }
  if (report.ids_twice > 0) line("ids used again", thousands(report.ids_twice));
  line("samples at fault", thousands(report.faulty_samples));
  for (size_t kind = 0; kind < report.faults.size(); ++kind) {
    if (report.faults[kind] > 0) {
      line(std::string("  ") + kFaultNames[kind], thousands(report.faults[kind]));
    }
  }
  if (report.examples.empty()) return lines;
  lines.emplace_back();
  for (const auto& fault : report.examples) lines.push_back(fault.text);
  return lines;
}

}  // namespace finer::data
