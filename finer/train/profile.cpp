#include "finer/train/profile.h"

#include "finer/core/atomic_file.h"
#include "finer/core/error.h"

#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/util/ApproximateClock.h>
#include <torch/csrc/autograd/profiler_kineto.h>

#include <algorithm>
#include <iomanip>
#include <map>
#include <set>
#include <sstream>

namespace finer {

namespace {

namespace kineto = torch::autograd::profiler;
using torch::profiler::impl::ActivityType;

torch::profiler::impl::ProfilerConfig settings() {
  return torch::profiler::impl::ProfilerConfig(torch::profiler::impl::ProfilerState::KINETO);
}

void wait_for(at::Device device) {
  if (device.is_cpu()) return;
  c10::impl::getDeviceGuardImpl(device.type())->synchronizeDevice(device.index());
}

// Time of each name without what lies inside it: events of one thread (or stream) nest.
std::vector<ProfiledOp> self_times(const std::vector<kineto::KinetoEvent>& events,
                                   c10::DeviceType type) {
  struct Span {
    uint64_t begin, end;
    size_t op;
  };
  std::vector<ProfiledOp> ops;
  std::map<std::string, size_t> by_name;
  std::map<std::pair<uint64_t, int64_t>, std::vector<Span>> threads;
  for (const auto& event : events) {
    if (event.deviceType() != type || event.durationNs() == 0) continue;
    const auto [found, is_new] = by_name.emplace(event.name(), ops.size());
    if (is_new) ops.push_back({event.name(), 0, 0});
    ops[found->second].count += 1;
    threads[{event.startThreadId(), event.deviceResourceId()}].push_back(
        {event.startNs(), event.startNs() + event.durationNs(), found->second});
  }
  for (auto& [thread, spans] : threads) {
    std::stable_sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) {
      return a.begin != b.begin ? a.begin < b.begin : a.end > b.end;
    });
    std::vector<const Span*> open;
    for (const auto& span : spans) {
      while (!open.empty() && open.back()->end <= span.begin) open.pop_back();
      const auto duration = static_cast<int64_t>(span.end - span.begin);
      ops[span.op].self_ns += duration;
      if (!open.empty()) ops[open.back()->op].self_ns -= duration;
      open.push_back(&span);
    }
  }
  return ops;
}

}  // namespace

StepProfile::StepProfile(at::Device device) : device_(device) {
  std::set<ActivityType> activities = {ActivityType::CPU};
  if (device.is_cuda()) activities.insert(ActivityType::CUDA);
  kineto::prepareProfiler(settings(), activities);
  kineto::enableProfiler(
      settings(), activities,
      {at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION, at::RecordScope::USER_SCOPE});
  is_on_ = true;
  began_ns_ = c10::getTime();
}

StepProfile::~StepProfile() {
  if (is_on_) kineto::disableProfiler();
}

std::string StepProfile::finish(const std::filesystem::path& folder, int64_t step) {
  FINER_CHECK(is_on_, "a profile is finished once");
  wait_for(device_);
  const int64_t wall_ns = c10::getTime() - began_ns_;
  is_on_ = false;
  const auto result = kineto::disableProfiler();
  std::filesystem::create_directories(folder);
  const auto file = folder / ("step-" + std::to_string(step));
  std::filesystem::remove(file.string() + ".json");  // an earlier one would hide that there is none
  result->save(file.string() + ".json");
  if (!std::filesystem::exists(file.string() + ".json"))
    throw Error(file.string() + ".json: LibTorch's profiler could not write it");
  constexpr size_t kRows = 25;
  const auto text = profile_text(self_times(result->events(), device_.type()), wall_ns, kRows);
  atomic_write(file.string() + ".txt", text);
  return file.string() + ".txt: " + text.substr(0, text.find('\n'));
}

std::string profile_text(std::vector<ProfiledOp> ops, int64_t wall_ns, size_t rows) {
  std::stable_sort(ops.begin(), ops.end(),
                   [](const auto& a, const auto& b) { return a.self_ns > b.self_ns; });
  int64_t total_ns = 0, calls = 0;
  for (const auto& op : ops) {
    total_ns += op.self_ns;
    calls += op.count;
  }
  const auto share = [&](int64_t ns) {
    return 100.0 * static_cast<double>(ns) / static_cast<double>(std::max<int64_t>(1, wall_ns));
  };
  std::ostringstream out;
  out << std::fixed << std::setprecision(1);
  out << "step of " << static_cast<double>(wall_ns) / 1e6 << " ms under the profiler, " << calls
      << " calls, " << static_cast<double>(total_ns) / 1e6 << " ms in them (" << share(total_ns)
      << " %)\n"
      << "     ms      %  calls  name\n";
  constexpr size_t kLongestName = 120;
  for (size_t i = 0; i < std::min(rows, ops.size()); ++i) {
    const auto& op = ops[i];
    out << std::setw(7) << static_cast<double>(op.self_ns) / 1e6 << std::setw(7)
        << share(op.self_ns) << std::setw(7) << op.count << "  " << op.name.substr(0, kLongestName)
        << "\n";
  }
  return out.str();
}

}  // namespace finer
