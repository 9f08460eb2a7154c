#include "finer/core/error.h"
#include "finer/core/peer_error.h"
#include "finer/dist/agreement.h"
#include "finer/dist/check_ranks.h"
#include "finer/dist/grad_reducer.h"
#include "finer/dist/process_group.h"
#include "finer/dist/watch.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <sys/socket.h>
#include <torch/csrc/autograd/autograd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

namespace finer::dist {
namespace {

bool is_free(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw Error("no socket: " + std::string(std::strerror(errno)));
  sockaddr_in at = {};
  at.sin_family = AF_INET;
  at.sin_port = htons(static_cast<uint16_t>(port));
  const bool is_bound = bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0;
  close(fd);
  return is_bound;
}

// Below the ports that the kernel hands out.
int next_port() {
  static std::atomic<int> used{0};
  constexpr int kFirst = 30000, kCount = 2000;
  for (int i = 0; i < kCount; ++i) {
    const int port = kFirst + (static_cast<int>(getpid()) * 37 + used++) % kCount;
    if (is_free(port)) return port;
  }
  throw Error("no port is free");
}

// LibTorch's flight recorder, one a process, enters a new group in a map before it takes its lock
// (2.11): two ranks that are threads of one process crash there now and then. Of the programs each
// rank is a process.
const bool kRecordsNothing = setenv("TORCH_FR_BUFFER_SIZE", "0", 1) == 0;

// Each rank a thread of this process; what they throw is thrown again.
void with_ranks(int size, const std::function<void(ProcessGroup&)>& body) {
  REQUIRE(kRecordsNothing);
  const int port = next_port();
  std::vector<std::thread> threads;
  std::vector<std::exception_ptr> faults(static_cast<size_t>(size));
  std::atomic<int> done{0};
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        Launch launch;
        launch.launcher = "test";
        launch.rank = launch.local_rank = rank;
        launch.size = launch.local_size = size;
        launch.port = port;
        const auto group = ProcessGroup::form(launch, 10);
        body(*group);
        ++done;
        while (rank == 0 && done < size) std::this_thread::yield();  // it holds the store
      } catch (...) {
        faults[static_cast<size_t>(rank)] = std::current_exception();
        ++done;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& fault : faults) {
    if (fault) std::rethrow_exception(fault);
  }
}

at::Tensor leaf(double value, int64_t size) {
  return at::full({size}, value, at::kFloat).requires_grad_(true);
}

bool is_all(const at::Tensor& tensor, double value) { return tensor.eq(value).all().item<bool>(); }

TEST_CASE("ranks gather their values in order", "[dist]") {
  with_ranks(3, [](ProcessGroup& group) {
    const auto all = group.gather({static_cast<double>(group.rank()), 7});
    if (all != std::vector<std::vector<double>>{{0, 7}, {1, 7}, {2, 7}}) throw Error("wrong order");
  });
}

TEST_CASE("ranks gather tensors in order of rank", "[dist]") {
  with_ranks(3, [](ProcessGroup& group) {
    const auto own = at::arange(4, at::kFloat).add_(10 * group.rank());
    const auto all = at::full({12}, -1, at::kFloat);
    group.all_gather(own, all)->wait();
    for (int rank = 0; rank < 3; ++rank) {
      if (!at::equal(all.narrow(0, 4 * rank, 4), at::arange(4, at::kFloat).add_(10 * rank)))
        throw Error("wrong order");
    }
  });
}

TEST_CASE("gradients are summed over ranks, also those that only one rank has", "[dist]") {
  for (const int64_t bucket_bytes : {int64_t{4}, int64_t{1} << 20}) {
    with_ranks(3, [&](ProcessGroup& group) {
      auto a = leaf(2, 5), b = leaf(3, 4), unused = leaf(1, 2);
      GradReducer reducer(group, {a, b, unused}, bucket_bytes);
      for (int step = 0; step < 3; ++step) {
        for (auto* t : {&a, &b, &unused}) t->mutable_grad() = at::Tensor();
        // rank 0 has both in two passes, rank 1 only `a`, rank 2 no pass at all
        if (group.rank() == 0) torch::autograd::backward({(a.sum() + b.sum() * 2)}, {});
        if (group.rank() < 2) {
          reducer.arm();
          torch::autograd::backward({group.rank() == 0 ? a.sum() + b.sum() : a.sum() * 10}, {});
        }
        reducer.finish();
        if (!is_all(a.grad(), 12)) throw Error("a");
        if (!is_all(b.grad(), 3)) throw Error("b");
        if (unused.grad().defined()) throw Error("a gradient that no rank has");
      }
      const auto& traffic = reducer.traffic();
      if (traffic.calls != (bucket_bytes == 4 ? 9 : 3)) throw Error("calls");
      if (traffic.bytes != 3 * 4 * (5 + 4 + 2 + 3)) throw Error("bytes");
    });
  }
}

TEST_CASE("a bucket leaves before the backward pass ends", "[dist]") {
  with_ranks(2, [](ProcessGroup& group) {
    auto first = leaf(2, 5), last = leaf(3, 5);
    GradReducer reducer(group, {last, first}, 4);  // the order in which the pass reaches them
    reducer.arm();
    int64_t calls_in_between = -1;
    auto middle = first * 2;
    middle.register_hook([&](const at::Tensor&) { calls_in_between = reducer.traffic().calls; });
    torch::autograd::backward({(middle * last).sum()}, {});
    reducer.finish();
    if (calls_in_between != 1 && calls_in_between != 0) throw Error("the hook did not run");
    if (!is_all(first.grad(), 2 * 2 * 3) || !is_all(last.grad(), 2 * 4)) throw Error("sums");
  });
}

TEST_CASE("what is written to a connection that is gone ends no rank", "[dist]") {
  with_ranks(2, [](ProcessGroup&) {
    int ends[2] = {};
    if (pipe(ends) != 0) throw Error("no pipe");
    close(ends[0]);
    const bool is_broken = write(ends[1], "x", 1) == -1 && errno == EPIPE;
    close(ends[1]);
    if (!is_broken) throw Error("a pipe without a reader");
  });
}

TEST_CASE("all ranks begin with rank 0's values", "[dist]") {
  with_ranks(2, [](ProcessGroup& group) {
    auto a = leaf(group.rank() + 1, 3), b = leaf(10 * group.rank() + 5, 4);
    GradReducer(group, {a, b}, 1 << 20).share_values();
    if (!is_all(a, 1) || !is_all(b, 5)) throw Error("values");
  });
}

TEST_CASE("ranks that differ are told apart before anything else", "[dist]") {
  std::atomic<int> silent{0};
  try {
    with_ranks(3, [&](ProcessGroup& group) {
      agree(group, "same", {{"data", "x"}});
      try {
        agree(group, "other", {{"data", group.rank() == 2 ? "y" : "x"}});
      } catch (const ReportedError& error) {
        if (error.exit_code == 2) ++silent;
      }
    });
    FAIL("nobody saw it");
  } catch (const ConfigError& error) {
    const std::string what = error.what();
    CHECK(what.find("rank 2 (") == 0);
    CHECK(what.find("data: it has \"y\", rank 0 \"x\"") != std::string::npos);
  }
  CHECK(silent == 2);
}

TEST_CASE("a rank that does not come is named", "[dist]") {
  Launch launch;
  launch.size = 3;
  launch.local_size = 3;
  launch.port = next_port();
  CHECK_THROWS_WITH(ProcessGroup::form(launch, 3), Catch::StartsWith("rank 1, 2 did not come to"));
  launch.rank = 1;
  CHECK_THROWS_WITH(ProcessGroup::form(launch, 1), Catch::StartsWith("rank 1: no answer from"));
}

TEST_CASE("the table of --check-ranks has every size, and its slowest link", "[dist]") {
  with_ranks(2, [](ProcessGroup& group) {
    const auto table = measure_ranks(group, at::kCPU, 5);
    if (group.rank() != 0) {
      if (!table.empty()) throw Error("rank 0 alone prints");
      return;
    }
    for (const char* text : {"2 ranks on the CPU over gloo", "    1 MB", "    4 MB", "    5 MB",
                             "slowest link: rank"}) {
      if (table.find(text) == std::string::npos) throw Error(std::string("no ") + text);
    }
    if (table.find("WRONG") != std::string::npos) throw Error("sum");
  });
}

TEST_CASE("NCCL says what it lacks where there is no GPU", "[dist]") {
  with_ranks(2, [](ProcessGroup& group) {
    try {
      group.open_device(at::Device(at::kCUDA, 0));
    } catch (const ConfigError& error) {
      if (std::string(error.what()).find("NCCL: ") != 0) throw Error("message");
      if (group.backend() != "gloo") throw Error("backend");
    }
  });
}

// A store of this process.
struct Shared {
  std::mutex lock;
  std::map<std::string, std::string> values;
};
class LocalStore : public Store {
 public:
  explicit LocalStore(Shared& shared) : shared_(shared) {}
  void set(const std::string& key, const std::string& value) override {
    const std::lock_guard<std::mutex> hold(shared_.lock);
    shared_.values[key] = value;
  }
  std::optional<std::string> get(const std::string& key) override {
    const std::lock_guard<std::mutex> hold(shared_.lock);
    const auto found = shared_.values.find(key);
    return found == shared_.values.end() ? std::nullopt : std::optional<std::string>(found->second);
  }
  std::vector<std::string> get_all(const std::vector<std::string>& keys) override {
    std::vector<std::string> out;
    for (const auto& key : keys) out.push_back(get(key).value());
    return out;
  }
  bool claim(const std::string& key, const std::string& value) override {
    const std::lock_guard<std::mutex> hold(shared_.lock);
    return shared_.values.emplace(key, value).second;
  }

 private:
  Shared& shared_;
};

WatchConfig watch_config(int rank) {
  return {rank, {"host-a", "host-b"}, 5, false, "store", [](int) {}};
}

TEST_CASE("a rank that falls silent is named with what it did last, by one rank", "[dist]") {
  Shared shared;
  Watch first(std::make_unique<LocalStore>(shared), watch_config(0));
  first.mark(Doing::kWaiting, "step 7, the sum of the gradients");
  LocalStore(shared).set("sign/1", "3 4 0 step 7, pass 2");  // and never again
  const auto verdict = first.explain("connection closed");
  CHECK(verdict.is_ours);
  CHECK(verdict.exit_code == 1);
  CHECK(verdict.line.find(
            "rank 1 (host-b) has given no sign for 1 s, its last was in: step 7, pass 2"
            "; rank 0 (host-a) waited for it in: step 7, the sum of the gradients") == 0);
}

TEST_CASE("one rank's failure silences the others, with its exit code", "[dist]") {
  Shared shared;
  Watch first(std::make_unique<LocalStore>(shared), watch_config(0));
  auto config = watch_config(1);
  std::atomic<int> exit_code{2};  // where the watch reads of it before the main thread asks
  config.end_process = [&](int code) { exit_code = code; };
  Watch second(std::make_unique<LocalStore>(shared), config);
  std::thread other([&] {
    const auto verdict = second.explain("connection closed");
    CHECK(!verdict.is_ours);
    CHECK(verdict.exit_code == 2);
    CHECK(verdict.line == "rank 0: a broken picture");
  });
  const auto verdict = first.publish("rank 0: a broken picture", 2);
  other.join();
  CHECK(verdict.is_ours);
  CHECK(exit_code == 2);
}

}  // namespace
}  // namespace finer::dist
