#include "finer/train/ranks.h"

#include "finer/core/build_info.h"
#include "finer/core/log.h"
#include "finer/core/peer_error.h"
#include "finer/core/rng.h"
#include "finer/nn/device.h"

#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <sstream>
#include <thread>

namespace finer {

namespace {

namespace fs = std::filesystem;
using dist::Doing;

// "section: key: value" of every line but those that say where a rank runs.
std::string recipe_lines(const std::string& yaml) {
  std::istringstream stream(yaml);
  std::string out, section;
  for (std::string line; std::getline(stream, line);) {
    if (line.empty() || line[0] == '#') continue;
    const bool is_top = line[0] != ' ';
    if (is_top) section = line.substr(0, line.find(':'));
    if (section == "device" || section == "threads") continue;
    const auto begin = line.find_first_not_of(' ');
    out += (is_top ? "" : section + ": ") + line.substr(begin) + "\n";
  }
  return out;
}

std::string parameter_lines(const std::vector<Trainable>& trainables) {
  std::ostringstream out;
  for (const auto& t : trainables) out << t.name << " " << t.leaf.sizes() << "\n";
  return out.str();
}

// As a backward pass reaches them: the language model from its end, then what makes its input.
std::vector<at::Tensor> backward_order(const std::vector<Trainable>& trainables) {
  std::vector<at::Tensor> out;
  for (const char* part : {"language", "projector", "vision"}) {
    for (auto t = trainables.rbegin(); t != trainables.rend(); ++t) {
      if (t->part == part) out.push_back(t->leaf);
    }
  }
  return out;
}

std::vector<double> as_values(const data::LoaderCounts& c) {
  const auto value = [](int64_t n) { return static_cast<double>(n); };
  return {value(c.samples), value(c.dropped_over_length), value(c.cut), value(c.dropped_zero_label),
          value(c.bad_records)};
}

void add(data::LoaderCounts& counts, const double* more) {
  const auto count = [&](int i) { return static_cast<int64_t>(more[i]); };
  counts.samples += count(0);
  counts.dropped_over_length += count(1);
  counts.cut += count(2);
  counts.dropped_zero_label += count(3);
  counts.bad_records += count(4);
}

// What each rank brings to a meeting.
enum Field {
  kSignal,
  kIsFaulty,
  kLabelWeight,
  kPasses,
  kSamples,
  kTokens,
  kLabelTokens,
  kPictures,
  kWait,
  kPeak,
  kCounts,  // five
  kFields = kCounts + 5
};

}  // namespace

Ranks::Ranks(const dist::Launch& launch, const Recipe& recipe)
    : Ranks(launch, recipe_to_yaml(recipe), recipe.dist.timeout_s) {}

Ranks::Ranks(const dist::Launch& launch, const std::string& yaml, double timeout_s)
    : group_(dist::ProcessGroup::form(launch, timeout_s)) {
  dist::WatchConfig config;
  config.rank = launch.rank;
  config.hosts = group_->hosts();
  config.timeout_s = timeout_s;
  config.holds_store = launch.rank == 0 && !launch.store_is_there;
  config.store = launch.address + ":" + std::to_string(launch.port);
  watch_ = std::make_unique<dist::Watch>(group_->connect(), config);
  watch_->mark(Doing::kWaiting, "the comparison of programs and recipes");
  std::ostringstream version;
  version << FINER_VERSION << " (" << FINER_COMMIT << ")";
  dist::agree(*group_, "start",
              {{"finer version", version.str()},
               {"LibTorch", FINER_TORCH_VERSION},
               {"recipe", recipe_lines(yaml)}});
  watch_->mark(Doing::kFiles, "start");
}

Ranks::~Ranks() = default;

namespace {

// Links to ranks that are gone may hold up the end of c10d's threads: the process ends all the
// same.
void end_in_time(const dist::Watch::Verdict& verdict) {
  std::thread([verdict] {
    std::this_thread::sleep_for(std::chrono::seconds(5));
    if (verdict.is_ours) log::info(verdict.line);
    _exit(verdict.exit_code);
  }).detach();
}

}  // namespace

int Ranks::run(const std::function<int()>& body) {
  const std::string name = "rank " + std::to_string(group_->rank()) + " (" +
                           group_->hosts()[static_cast<size_t>(group_->rank())] + ")";
  dist::Watch::Verdict verdict;
  try {
    return body();
  } catch (const ReportedError&) {
    throw;
  } catch (const dist::LinkError& error) {
    verdict = watch_->explain(error.what());
    end_in_time(verdict);
    if (verdict.is_ours) throw PeerError(verdict.line);
  } catch (const Error& error) {
    const std::string what = error.what();
    verdict = watch_->publish(what.rfind("rank ", 0) == 0 ? what : name + ": " + what, 2);
    end_in_time(verdict);
    if (verdict.is_ours) throw Error(verdict.line);
  } catch (const std::exception& error) {
    const std::string what = error.what();
    verdict = watch_->publish(name + ": internal error: " + what.substr(0, what.find('\n')), 1);
    end_in_time(verdict);
    if (verdict.is_ours) throw;
  }
  log::debug("another rank ended the job: " + verdict.line);
  throw ReportedError(verdict.exit_code, verdict.line);
}

Recipe Ranks::own_recipe(const Recipe& recipe) const {
  const auto& launch = group_->launch();
  Recipe own = recipe;
  if (own.threads == 0) {
    own.threads = std::max<int64_t>(
        1, static_cast<int64_t>(std::thread::hardware_concurrency()) / launch.local_size);
  }
  if (recipe.device == "cpu") return own;
  if (recipe.device.rfind("cuda:", 0) == 0 && launch.local_size > 1) {
    throw RecipeError(
        "device: found " + recipe.device + " with " + std::to_string(launch.local_size) +
        " ranks on this machine; expected cuda or auto, which give each its own card");
  }
  const auto device = open_device(recipe.device);
  own.device = device.str();
  if (!device.is_cuda() || device.index() > 0) return own;
  const auto* cards = c10::impl::getDeviceGuardImpl(at::kCUDA);
  const int count = static_cast<int>(cards->deviceCount());
  // A launcher that binds each rank to its card shows it one.
  const int index = count == 1 ? 0 : launch.local_rank;
  if (index >= count) {
    throw ConfigError("device: local rank " + std::to_string(index) + " has no card: there are " +
                      std::to_string(count) + " on this machine; start as many ranks as cards");
  }
  own.device = "cuda:" + std::to_string(index);
  cards->setDevice(open_device(own.device));
  return own;
}

void Ranks::load_in_turn(bool in_turn, const std::function<void()>& load) {
  const auto& launch = group_->launch();
  const auto key = [&](int local_rank) {
    return "loaded/" + group_->hosts()[static_cast<size_t>(launch.rank)] + "/" +
           std::to_string(local_rank);
  };
  if (in_turn && launch.local_rank > 0) {
    watch_->mark(Doing::kWaiting, "its turn to read the base model");
    dist::wait_for(*group_, key(launch.local_rank - 1));
  }
  watch_->mark(Doing::kFiles, "reading model and data");
  load();
  if (in_turn) group_->store().set(key(launch.local_rank), "1");
}

std::optional<fs::path> Ranks::same_checkpoint(const std::optional<fs::path>& own) {
  watch_->mark(is_first() ? Doing::kFiles : Doing::kWaiting, "the choice of a checkpoint");
  const std::string path = dist::from_first(*group_, "checkpoint", own ? own->string() : "");
  if (path.empty()) return std::nullopt;
  if (!fs::exists(fs::path(path) / "COMPLETE")) {
    throw CheckpointError(path +
                          ": rank 0 goes on from it, but it is not here; output has to be on "
                          "a file system that all machines share");
  }
  return path;
}

void Ranks::first_does(const std::string& what, const std::function<void()>& body) {
  watch_->mark(is_first() ? Doing::kFiles : Doing::kWaiting, what);
  if (is_first()) body();
  dist::from_first(*group_, "did/" + what, "1");
}

void Ranks::check_cards(const std::string& name) {
  watch_->mark(Doing::kWaiting, "the comparison of cards");
  const auto device = open_device(name);
  const auto uuid = device_uuid(device);
  const auto all = group_->gather({uuid.begin(), uuid.end()});
  for (size_t a = 0; a < all.size(); ++a) {
    for (size_t b = a + 1; b < all.size(); ++b) {
      const bool is_known = all[a] != std::vector<double>(uuid.size(), 0.0);
      if (!is_known || all[a] != all[b] || group_->hosts()[a] != group_->hosts()[b]) continue;
      throw ConfigError("device: ranks " + std::to_string(a) + " and " + std::to_string(b) +
                        " have the same card, " + device_name(device) + " on " +
                        group_->hosts()[a] +
                        "; expected as many ranks on a machine as it has cards");
    }
  }
}

void Ranks::start(const RunState& state, const Recipe& recipe, at::Device device,
                  const std::vector<Trainable>& trainables) {
  watch_->mark(Doing::kWaiting, "the comparison of data and parameters");
  std::string data;
  for (size_t i = 0; i < state.data_hashes.size(); ++i)
    data += recipe.data.sets[i].path + " of hash " + hash_text(state.data_hashes[i]) + "\n";
  dist::agree(*group_, "model",
              {{"data", data},
               {"base model", "hash " + hash_text(state.base_hash)},
               {"checkpoint", "step " + std::to_string(state.step)},
               {"device", device.is_cuda() ? "cuda" : "cpu"},
               {"parameters", parameter_lines(trainables)}});
  group_->open_device(device);
  constexpr int64_t kMegabyte = 1 << 20;
  reducer_ = std::make_unique<dist::GradReducer>(*group_, backward_order(trainables),
                                                 recipe.dist.bucket_mb * kMegabyte);
  watch_->mark(Doing::kWaiting, "rank 0's values of what trains");
  reducer_->share_values();
  own_counts_ = counts_ = state.counts;
  watch_->mark(Doing::kFiles, "the first samples");
}

Ranks::Meeting Ranks::meet(data::StepBatch* batch, bool is_faulty, int signal,
                           int64_t own_peak_bytes, int64_t max_bad_records) {
  std::vector<double> own(kFields, 0.0);
  own[kSignal] = signal;
  own[kIsFaulty] = is_faulty ? 1 : 0;
  own[kPeak] = static_cast<double>(own_peak_bytes);
  if (batch) {
    own[kLabelWeight] = batch->label_weight;
    own[kPasses] = static_cast<double>(batch->num_passes);
    own[kSamples] = static_cast<double>(batch->num_samples);
    own[kTokens] = static_cast<double>(batch->num_tokens);
    own[kLabelTokens] = static_cast<double>(batch->num_label_tokens);
    for (const auto& pass : batch->passes) own[kPictures] += static_cast<double>(pass.num_images);
    own[kWait] = batch->wait_s;
    const auto now = as_values(batch->counts), before = as_values(own_counts_);
    for (size_t i = 0; i < now.size(); ++i) own[kCounts + i] = now[i] - before[i];
    own_counts_ = batch->counts;
  }
  const std::string step = batch ? "step " + std::to_string(batch->step + 1) : "the last step";
  watch_->mark(Doing::kWaiting, step + ", the meeting before it");
  const auto all = group_->gather(own);
  watch_->mark(Doing::kWork, step);

  Meeting out;
  std::vector<double> sum(kFields, 0.0);
  for (size_t r = 0; r < all.size(); ++r) {
    if (static_cast<int>(r) == group_->rank() && batch)
      batch->first_pass = static_cast<int64_t>(sum[kPasses]);
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += all[r][i];
    out.signal = std::max(out.signal, static_cast<int>(all[r][kSignal]));
    out.peak_bytes = std::max(out.peak_bytes, static_cast<int64_t>(all[r][kPeak]));
    if (all[r][kIsFaulty] > 0 && out.faulty_rank < 0) out.faulty_rank = static_cast<int>(r);
    if (batch) batch->wait_s = std::max(batch->wait_s, all[r][kWait]);
  }
  out.has_picture = sum[kPictures] > 0;
  add(counts_, &sum[kCounts]);
  if (!batch) return out;
  batch->label_weight = sum[kLabelWeight];
  batch->num_passes = static_cast<int64_t>(sum[kPasses]);
  batch->num_samples = static_cast<int64_t>(sum[kSamples]);
  batch->num_tokens = static_cast<int64_t>(sum[kTokens]);
  batch->num_label_tokens = static_cast<int64_t>(sum[kLabelTokens]);
  batch->counts = counts_;
  if (counts_.bad_records > max_bad_records) {
    throw DataError("data.max_bad_records: more than " + std::to_string(max_bad_records) +
                    " records were skipped, over all ranks; see the logs of each");
  }
  return out;
}

std::string Ranks::text() const {
  std::vector<std::string> hosts = group_->hosts();
  std::sort(hosts.begin(), hosts.end());
  hosts.erase(std::unique(hosts.begin(), hosts.end()), hosts.end());
  return std::to_string(group_->size()) + " ranks over " + group_->backend() + ", started by " +
         group_->launch().launcher + ", on " + std::to_string(hosts.size()) +
         (hosts.size() == 1 ? " machine" : " machines");
}

void Ranks::tell_traffic() const {
  const auto& t = reducer_->traffic();
  std::ostringstream out;
  out << "sums of gradients: " << t.calls << " calls, " << t.bytes << " bytes, " << t.total_s
      << " s, of which " << t.wait_s << " s were waited for";
  log::debug(out.str());
}

EvalShare Ranks::eval_share() {
  return {.rank = group_->rank(), .size = group_->size(), .sum = [this](const auto& own) {
            std::vector<double> sums(own.size(), 0.0);
            for (const auto& values : group_->gather(own)) {
              for (size_t i = 0; i < sums.size(); ++i) sums[i] += values[i];
            }
            return sums;
          }};
}

void Ranks::wait_for_all(const std::string& what) {
  watch_->mark(Doing::kWaiting, what);
  group_->gather({0});
}

void Ranks::leave() {
  wait_for_all("the end of the run");
  watch_->stop();
  const auto key = [](int rank) { return "left/" + std::to_string(rank); };
  try {
    if (!is_first()) {
      group_->store().set(key(group_->rank()), "1");
      return;
    }
    // Whoever holds the store leaves last.
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(3);
    for (int r = 1; r < group_->size(); ++r) {
      while (!group_->store().get(key(r)) && std::chrono::steady_clock::now() < until)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  } catch (const dist::LinkError&) {  // all have met: there is nothing left to lose
  }
}

}  // namespace finer
