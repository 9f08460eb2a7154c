#include "finer/dist/process_group.h"

#include "finer/core/error.h"
#include "finer/core/peer_error.h"
#include "finer/dist/address.h"
#include "finer/dist/nccl/entry.h"

#include <ATen/ops/empty.h>
#include <c10/util/Logging.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <thread>

namespace finer::dist {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Work may take as long as the slowest file work elsewhere (watch.h): the watch ends the job
// before.
constexpr double kWorkTimeouts = 11;

constexpr const char* kFormed = "formed";

milliseconds in_ms(double seconds) { return milliseconds(static_cast<int64_t>(seconds * 1000)); }

std::string first_line(const std::exception& error) {
  const std::string what = error.what();  // LibTorch adds its stack in further lines
  return what.substr(0, what.find('\n'));
}

// c10d's store writes to connections whose rank may be gone, through libuv, which leaves SIGPIPE to
// the program. Python ignores it for everyone; here it would end rank 0 without a word.
void outlive_broken_pipes() { std::signal(SIGPIPE, SIG_IGN); }

template <class Body>
auto linked(Body body) -> decltype(body()) {
  try {
    return body();
  } catch (const std::exception& error) {
    throw LinkError(first_line(error));
  }
}

std::vector<uint8_t> bytes(const std::string& text) { return {text.begin(), text.end()}; }
std::string text(const std::vector<uint8_t>& value) { return {value.begin(), value.end()}; }

// The socket that the starter has left open for the store, from now on this process's alone.
std::optional<int> own_socket(const Launch& launch) {
  if (!launch.store_socket) return std::nullopt;
  const int fd = *launch.store_socket;
  int listens = 0;
  socklen_t size = sizeof listens;
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens == 0) {
    throw ConfigError(std::string(kStoreSocket) + ": " + std::to_string(fd) +
                      " is no listening socket; --ranks sets it, nobody else needs to");
  }
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  return fd;
}

// socket: of the server, where its starter has left one
c10::intrusive_ptr<c10d::TCPStore> open_store(const Launch& launch, bool is_server,
                                              std::optional<int> socket, double timeout_s) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(launch.port);
  options.isServer = is_server;
  options.waitWorkers = false;
  options.timeout = in_ms(timeout_s);
  options.masterListenFd = socket;
  return c10::make_intrusive<c10d::TCPStore>(launch.address, options);
}

class TcpStore : public Store {
 public:
  TcpStore(c10::intrusive_ptr<c10d::Store> tcp, const std::string& attempt)
      : prefixed_(c10::make_intrusive<c10d::PrefixStore>("finer/" + attempt, std::move(tcp))) {}

  void set(const std::string& key, const std::string& value) override {
    linked([&] { prefixed_->set(key, bytes(value)); });
  }
  std::optional<std::string> get(const std::string& key) override {
    return linked([&]() -> std::optional<std::string> {
      if (!prefixed_->check({key})) return std::nullopt;
      return text(prefixed_->get(key));
    });
  }
  std::vector<std::string> get_all(const std::vector<std::string>& keys) override {
    return linked([&] {
      std::vector<std::string> out;
      for (const auto& value : prefixed_->multiGet(keys)) out.push_back(text(value));
      return out;
    });
  }
  bool claim(const std::string& key, const std::string& value) override {
    return linked([&] { return text(prefixed_->compareSet(key, {}, bytes(value))) == value; });
  }

  const c10::intrusive_ptr<c10d::PrefixStore>& prefixed() const { return prefixed_; }

 private:
  c10::intrusive_ptr<c10d::PrefixStore> prefixed_;
};

class PendingWork : public Pending {
 public:
  explicit PendingWork(c10::intrusive_ptr<c10d::Work> work) : work_(std::move(work)) {}
  void wait() override {
    linked([&] { work_->wait(); });
  }

 private:
  c10::intrusive_ptr<c10d::Work> work_;
};

// c10d tells of a lost link with stacks of many lines, on every rank; the watch tells it in one.
// TORCH_CPP_LOG_LEVEL brings c10d's back.
void quieten() {
  constexpr int kFatal = 3;
  if (std::getenv("TORCH_CPP_LOG_LEVEL") == nullptr) FLAGS_caffe2_log_level = kFatal;
}

// libfiner_nccl.so lies beside the program or in ../lib, as libfiner_cuda.so does.
NcclEntry* nccl_entry() {
  namespace fs = std::filesystem;
  std::error_code none;
  const auto folder = fs::read_symlink("/proc/self/exe", none).parent_path();
  for (const auto& path : {folder / "libfiner_nccl.so", folder / "../lib/libfiner_nccl.so"}) {
    if (!fs::exists(path, none)) continue;
    void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (handle == nullptr) {
      const char* reason = dlerror();
      throw ConfigError("NCCL: " + path.string() + " does not open (" +
                        (reason != nullptr ? reason : "no reason was given") +
                        "); build it against this LibTorch");
    }
    void* entry = dlsym(handle, kNcclEntryName);
    FINER_CHECK(entry != nullptr, "libfiner_nccl.so has its entry");
    return reinterpret_cast<NcclEntry*>(entry);
  }
  throw ConfigError(
      "NCCL: libfiner_nccl.so is not beside the program; ranks on CUDA need it (it is built where "
      "LibTorch's wheel has nccl.h), or device: cpu");
}

class Group : public ProcessGroup {
 public:
  Group(const Launch& launch, double timeout_s) : launch_(launch), timeout_s_(timeout_s) {
    quieten();
    outlive_broken_pipes();
    const std::string where = launch_.address + ":" + std::to_string(launch_.port);
    const bool holds = launch_.rank == 0 && !launch_.store_is_there;
    const auto own = own_address(launch_.address, launch_.port);
    const auto socket = holds ? own_socket(launch_) : std::nullopt;
    try {
      store_ = std::make_unique<TcpStore>(open_store(launch_, holds, socket, timeout_s),
                                          launch_.attempt);
    } catch (const std::exception& error) {
      throw ConfigError(
          holds ? "rank 0 cannot hold the job's store at " + where + " (" + first_line(error) +
                      "); set MASTER_PORT to a free one, MASTER_ADDR to this machine"
                : "rank " + std::to_string(launch_.rank) + ": no answer from the job's store at " +
                      where + " within " + std::to_string(static_cast<int>(timeout_s)) +
                      " s: rank 0 was not started there, or a firewall is between");
    }
    try {
      gather_hosts();
    } catch (const LinkError&) {
      throw PeerError("rank " + std::to_string(launch_.rank) + ": the job's store at " + where +
                      " is gone, and rank 0 with it, before all ranks had come");
    }
    auto options = c10d::ProcessGroupGloo::Options::create(in_ms(kWorkTimeouts * timeout_s));
    const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
    linked([&] {
      options->devices.push_back(interface != nullptr && *interface != '\0'
                                     ? c10d::ProcessGroupGloo::createDeviceForInterface(interface)
                                     : c10d::ProcessGroupGloo::createDeviceForHostname(own));
      gloo_ = c10::make_intrusive<c10d::ProcessGroupGloo>(
          c10::make_intrusive<c10d::PrefixStore>("gloo", store_->prefixed()), launch_.rank,
          launch_.size, options);
    });
    data_ = gloo_;
  }

  ~Group() override {
    if (data_ == gloo_) return;
    try {
      data_->abort();                  // waits for nobody: what was to be summed has been
    } catch (const std::exception&) {  // nothing is left to end
    }
  }

  const Launch& launch() const override { return launch_; }
  const std::vector<std::string>& hosts() const override { return hosts_; }
  Store& store() override { return *store_; }
  std::unique_ptr<Store> connect() const override {
    return linked([&] {
      return std::make_unique<TcpStore>(open_store(launch_, false, std::nullopt, timeout_s_),
                                        launch_.attempt);
    });
  }

  std::vector<std::vector<double>> gather(const std::vector<double>& own) override {
    return linked([&] {
      auto mine = at::empty({static_cast<int64_t>(own.size())}, at::kDouble);
      std::copy(own.begin(), own.end(), mine.mutable_data_ptr<double>());
      std::vector<std::vector<at::Tensor>> all(1);
      for (int r = 0; r < size(); ++r) all[0].push_back(at::empty_like(mine));
      std::vector<at::Tensor> input{mine};
      gloo_->allgather(all, input)->wait();
      std::vector<std::vector<double>> out;
      for (const auto& values : all[0]) {
        const auto* begin = values.const_data_ptr<double>();
        out.emplace_back(begin, begin + own.size());
      }
      return out;
    });
  }

  void open_device(at::Device device) override {
    if (!device.is_cuda()) return;
    auto* entry = nccl_entry();
    std::string fault;
    auto* backend =
        entry(new c10::intrusive_ptr<c10d::Store>(
                  c10::make_intrusive<c10d::PrefixStore>("nccl", store_->prefixed())),
              launch_.rank, launch_.size, in_ms(kWorkTimeouts * timeout_s_).count(), &fault);
    if (backend == nullptr) throw ConfigError("NCCL: " + fault);
    data_ = c10::intrusive_ptr<c10d::Backend>::reclaim(static_cast<c10d::Backend*>(backend));
  }

  std::string backend() const override { return data_ == gloo_ ? "gloo" : "nccl"; }

  std::unique_ptr<Pending> all_reduce(const at::Tensor& tensor) override {
    return linked([&] {
      std::vector<at::Tensor> tensors{tensor};
      return std::make_unique<PendingWork>(data_->allreduce(tensors));
    });
  }
  std::unique_ptr<Pending> all_gather(const at::Tensor& own, const at::Tensor& all) override {
    return linked([&] {
      at::Tensor input = own, output = all;
      return std::make_unique<PendingWork>(data_->_allgather_base(output, input));
    });
  }
  void send(const at::Tensor& tensor, int to) override {
    linked([&] {
      std::vector<at::Tensor> tensors{tensor};
      data_->send(tensors, to, 0)->wait();
    });
  }
  void receive(const at::Tensor& tensor, int from) override {
    linked([&] {
      std::vector<at::Tensor> tensors{tensor};
      data_->recv(tensors, from, 0)->wait();
    });
  }

 private:
  std::string key(int rank) const { return "host/" + std::to_string(rank); }

  // Rank 0 waits for the others; they wait for its word, so that one line tells who is missing.
  void gather_hosts() {
    store_->set(key(launch_.rank), host_name());
    const bool is_first = launch_.rank == 0;
    const double patience_s = is_first ? timeout_s_ * 0.8 : timeout_s_;
    const auto start = Clock::now();
    std::vector<std::string> keys;
    for (int r = 0; r < size(); ++r) keys.push_back(key(r));
    for (std::string missing; !everyone_is_here(is_first, missing); missing.clear()) {
      if (std::chrono::duration<double>(Clock::now() - start).count() > patience_s) {
        if (!is_first) {
          throw PeerError("rank " + std::to_string(launch_.rank) +
                          " waited for rank 0 to say that all are here");
        }
        missing += " did not come to " + launch_.address + ":" + std::to_string(launch_.port) +
                   " within " + std::to_string(static_cast<int>(patience_s)) + " s";
        store_->set("formed", missing);
        std::this_thread::sleep_for(milliseconds(500));  // so that the others read it
        throw ConfigError(missing);
      }
      std::this_thread::sleep_for(milliseconds(20));
    }
    hosts_ = store_->get_all(keys);
    if (is_first) store_->set("formed", kFormed);
  }

  bool everyone_is_here(bool is_first, std::string& missing) {
    if (!is_first) {
      const auto word = store_->get("formed");
      if (word && *word != kFormed) throw ReportedError(2, *word);
      return word.has_value();
    }
    constexpr int kNamed = 8;
    int count = 0;
    for (int r = 1; r < size(); ++r) {
      if (arrived_.size() <= static_cast<size_t>(r)) arrived_.resize(static_cast<size_t>(size()));
      if (!arrived_[static_cast<size_t>(r)])
        arrived_[static_cast<size_t>(r)] = store_->get(key(r)).has_value();
      if (arrived_[static_cast<size_t>(r)] || ++count > kNamed) continue;
      missing += (missing.empty() ? "rank " : ", ") + std::to_string(r);
    }
    if (count > kNamed) missing += " and " + std::to_string(count - kNamed) + " more";
    return count == 0;
  }

  Launch launch_;
  double timeout_s_;
  std::unique_ptr<TcpStore> store_;
  std::vector<std::string> hosts_;
  std::vector<bool> arrived_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo_;
  c10::intrusive_ptr<c10d::Backend> data_;
};

}  // namespace

std::unique_ptr<ProcessGroup> ProcessGroup::form(const Launch& launch, double timeout_s) {
  FINER_CHECK(launch.is_many(), "one rank forms no group");
  return std::make_unique<Group>(launch, timeout_s);
}

}  // namespace finer::dist
