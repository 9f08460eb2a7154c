#include "finer/dist/check_ranks.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/ones.h>

#include <algorithm>
#include <chrono>
#include <iomanip>
#include <sstream>

namespace finer::dist {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kMegabyte = 1000 * 1000;
constexpr int kRepeats = 3;
constexpr int64_t kLinkBytes = 16 * kMegabyte;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Reading one value waits for what is queued on the device.
void finish(const at::Tensor& tensor) { tensor[0].item<float>(); }

double slowest(ProcessGroup& group, double own) {
  double most = 0;
  for (const auto& values : group.gather({own})) most = std::max(most, values[0]);
  return most;
}

double time_sum(ProcessGroup& group, const at::Tensor& tensor) {
  group.gather({0});
  const auto start = Clock::now();
  group.all_reduce(tensor)->wait();
  finish(tensor);
  return slowest(group, seconds_since(start));
}

// Seconds from `rank` to the next, measured by who receives; all others wait.
double time_link(ProcessGroup& group, const at::Tensor& tensor, int rank) {
  const int next = (rank + 1) % group.size();
  double best = 1e9;
  for (int i = 0; i < kRepeats; ++i) {
    group.gather({0});
    const auto start = Clock::now();
    if (group.rank() == rank) group.send(tensor, next);
    if (group.rank() == next) group.receive(tensor, rank);
    if (group.rank() == rank || group.rank() == next) finish(tensor);
    best = std::min(best, slowest(group, group.rank() == next ? seconds_since(start) : 0));
  }
  return best;
}

}  // namespace

std::string measure_ranks(ProcessGroup& group, at::Device device, int64_t most_mb) {
  const auto options = at::TensorOptions(device).dtype(at::kFloat);
  const double share = 2.0 * (group.size() - 1) / group.size();
  std::ostringstream out;
  out << group.size() << " ranks on " << (device.is_cuda() ? "CUDA" : "the CPU") << " over "
      << group.backend() << ", started by " << group.launch().launcher << "\n";
  for (int r = 0; r < group.size(); ++r)
    out << "  rank " << r << "  " << group.hosts()[static_cast<size_t>(r)] << "\n";
  out << "sum of      seconds     GB/s a link\n" << std::fixed;
  for (int64_t mb = 1;; mb = std::min(mb * 4, most_mb)) {
    auto tensor = at::ones({mb * kMegabyte / 4}, options);
    time_sum(group, tensor);  // the first call of a size sets up its buffers
    double best = 1e9;
    for (int i = 0; i < kRepeats; ++i) best = std::min(best, time_sum(group, tensor.fill_(1)));
    const bool is_right = tensor[0].item<float>() == static_cast<float>(group.size());
    out << std::setw(5) << mb << " MB  " << std::setw(10) << std::setprecision(6) << best
        << std::setw(12) << std::setprecision(2)
        << share * static_cast<double>(mb * kMegabyte) / best * 1e-9
        << (is_right ? "" : "  WRONG SUM") << "\n";
    if (mb >= most_mb) break;
  }
  const auto tensor = at::ones({kLinkBytes / 4}, options);
  double worst = 0;
  int at_rank = 0;
  for (int r = 0; r < group.size(); ++r) {
    const double taken = time_link(group, tensor, r);
    if (taken <= worst) continue;
    worst = taken;
    at_rank = r;
  }
  const int next = (at_rank + 1) % group.size();
  out << "slowest link: rank " << at_rank << " (" << group.hosts()[static_cast<size_t>(at_rank)]
      << ") to rank " << next << " (" << group.hosts()[static_cast<size_t>(next)] << "), "
      << std::setprecision(2) << static_cast<double>(kLinkBytes) / worst * 1e-9 << " GB/s\n";
  return group.rank() == 0 ? out.str() : "";
}

}  // namespace finer::dist
