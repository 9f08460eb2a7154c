#include "tools/local_ranks.h"

#include "finer/core/error.h"
#include "finer/dist/launch.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace finer::cli {

namespace {

std::string reason() { return std::strerror(errno); }

// A socket that listens on a port of the loopback address that nobody has, and the port. Rank 0
// makes it the job's store: whoever connects sooner waits in its queue, and nobody else can take
// the port.
struct Listener {
  int fd = -1, port = 0;
};

Listener listen_on_loopback() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* plain = reinterpret_cast<sockaddr*>(&address);
  if (fd < 0 || bind(fd, plain, size) != 0 || getsockname(fd, plain, &size) != 0 ||
      listen(fd, SOMAXCONN) != 0) {
    const std::string fault = reason();
    if (fd >= 0) close(fd);
    throw ConfigError("--ranks: no port on 127.0.0.1 (" + fault + ")");
  }
  return {fd, ntohs(address.sin_port)};
}

// argv without `--ranks N` and `--ranks=N`.
std::vector<char*> without_option(char** argv) {
  std::vector<char*> out;
  for (; *argv != nullptr; ++argv) {
    const std::string_view argument = *argv;
    if (argument == "--ranks" && argv[1] != nullptr) {
      ++argv;
    } else if (!argument.starts_with("--ranks=")) {
      out.push_back(*argv);
    }
  }
  out.push_back(nullptr);
  return out;
}

[[noreturn]] void become_rank(int rank, int count, const Listener& listener, pid_t parent,
                              char* const* argv) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(143);  // it died before the line above
  setpgid(0, 0);                        // a terminal's Ctrl-C comes once, from the parent
  const auto set = [](const char* name, const std::string& value, bool wins = true) {
    setenv(name, value.c_str(), wins ? 1 : 0);
  };
  // of a launcher that started this process as one rank of one: its store is not these ranks'
  for (const char* name : {"TORCHELASTIC_USE_AGENT_STORE", "TORCHELASTIC_RUN_ID",
                           "TORCHELASTIC_RESTART_COUNT", dist::kStoreSocket})
    unsetenv(name);
  set("RANK", std::to_string(rank));
  set("LOCAL_RANK", std::to_string(rank));
  set("WORLD_SIZE", std::to_string(count));
  set("LOCAL_WORLD_SIZE", std::to_string(count));
  set("MASTER_ADDR", "127.0.0.1");
  set("MASTER_PORT", std::to_string(listener.port));
  if (rank == 0) {
    fcntl(listener.fd, F_SETFD, 0);  // stays open
    set(dist::kStoreSocket, std::to_string(listener.fd));
  }
  const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  set("OMP_NUM_THREADS", std::to_string(std::max(1U, cores / static_cast<unsigned>(count))), false);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execv("/proc/self/exe", argv);
  _exit(127);
}

}  // namespace

int start_ranks(int count, char** argv) {
  const auto launch = dist::read_launch();
  if (launch.is_many()) {
    throw ConfigError("--ranks: " + launch.launcher + " has started this process as rank " +
                      std::to_string(launch.rank) + " of " + std::to_string(launch.size) +
                      "; leave --ranks out");
  }
  const auto arguments = without_option(argv);
  const auto listener = listen_on_loopback();
  sigset_t awaited;
  sigemptyset(&awaited);
  for (const int signal : {SIGCHLD, SIGINT, SIGTERM, SIGHUP}) sigaddset(&awaited, signal);
  sigprocmask(SIG_BLOCK, &awaited, nullptr);

  std::vector<pid_t> running;
  const pid_t self = getpid();
  int exit_code = 0;
  for (int rank = 0; rank < count; ++rank) {
    const pid_t child = fork();
    if (child == 0) become_rank(rank, count, listener, self, arguments.data());
    if (child < 0) {
      const std::string fault = reason();
      for (const pid_t other : running) kill(other, SIGTERM);
      throw ConfigError("--ranks: rank " + std::to_string(rank) + " cannot be started (" + fault +
                        ")");
    }
    running.push_back(child);
  }
  close(listener.fd);
  while (!running.empty()) {
    const int signal = sigwaitinfo(&awaited, nullptr);
    if (signal > 0 && signal != SIGCHLD) {
      for (const pid_t child : running) kill(child, signal);
    }
    int status = 0;
    for (pid_t child = 0; (child = waitpid(-1, &status, WNOHANG)) > 0;) {
      running.erase(std::remove(running.begin(), running.end(), child), running.end());
      const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      if (exit_code == 0 || code == 2) exit_code = code;
    }
  }
  return exit_code;
}

}  // namespace finer::cli
