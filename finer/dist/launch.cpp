#include "finer/dist/launch.h"

#include "finer/core/error.h"
#include "finer/core/rng.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

namespace finer::dist {

namespace {

constexpr int kMostRanks = 65536;

class Reader {
 public:
  explicit Reader(const Environment& environment) : environment_(environment) {}

  std::optional<std::string> text(const std::string& name) const {
    auto value = environment_(name);
    if (value && value->empty()) return std::nullopt;
    return value;
  }
  bool has(const std::string& name) const { return text(name).has_value(); }

  int number(const std::string& name, int least, int most) const {
    const auto value = text(name);
    const std::string range = std::to_string(least) + " to " + std::to_string(most);
    if (!value) {
      throw ConfigError(name +
                        ": is not set, though its launcher's other variables are; expected " +
                        range + " (or unset them to run alone)");
    }
    int out = 0;
    const char *begin = value->data(), *end = begin + value->size();
    const auto [stop, fault] = std::from_chars(begin, end, out);
    if (fault != std::errc() || stop != end || out < least || out > most) {
      throw ConfigError(name + ": found \"" + value->substr(0, 40) + "\", expected " + range);
    }
    return out;
  }
  int number(const std::string& name, int least, int most, int otherwise) const {
    return has(name) ? number(name, least, most) : otherwise;
  }

 private:
  const Environment& environment_;
};

void check_host(const std::string& name, const std::string& host) {
  const bool is_plain = host.size() <= 255 && host.find_first_not_of(
                                                  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTU"
                                                  "VWXYZ0123456789.-_:%") == std::string::npos;
  if (!is_plain || host.empty() || host[0] == '-') {
    throw ConfigError(name + ": found \"" + host.substr(0, 40) +
                      "\", expected the name or address of rank 0's machine");
  }
}

// Above the well-known ports and below those that the kernel hands out.
int port_of_job(const std::string& job) {
  constexpr uint64_t kFirst = 15000, kCount = 15000;
  return static_cast<int>(kFirst + mix_seed(hash_bytes(job), 0) % kCount);
}

// Where rank 0 is; `job` tells this job from others on the same machines.
void find_master(const Reader& env, Launch& launch, const std::string& job,
                 const std::optional<std::string>& host) {
  if (const auto named = env.text("MASTER_ADDR")) {
    check_host("MASTER_ADDR", *named);
    launch.address = *named;
  } else if (launch.local_size == launch.size) {
    launch.address = "127.0.0.1";
  } else if (host) {
    launch.address = *host;
  } else {
    throw ConfigError(
        "MASTER_ADDR: is not set, and the ranks are on several machines; expected the name of rank "
        "0's (mpirun -x MASTER_ADDR=HOST)");
  }
  launch.port = env.number("MASTER_PORT", 1, 65535, port_of_job(job));
}

void check_local(const std::string& what, const Launch& launch) {
  if (launch.local_rank < launch.local_size && launch.local_size <= launch.size) return;
  throw ConfigError(what + ": found local rank " + std::to_string(launch.local_rank) + " of " +
                    std::to_string(launch.local_size) + " among " + std::to_string(launch.size) +
                    " ranks; they contradict each other");
}

Launch from_rank_variables(const Reader& env) {
  Launch launch;
  const bool is_torchrun = env.has("TORCHELASTIC_RUN_ID");
  launch.launcher = is_torchrun ? "torchrun" : "environment";
  launch.size = env.number("WORLD_SIZE", 1, kMostRanks);
  launch.rank = env.number("RANK", 0, launch.size - 1);
  launch.local_rank = env.number("LOCAL_RANK", 0, launch.size - 1, 0);
  launch.local_size = env.number("LOCAL_WORLD_SIZE", 1, launch.size, launch.local_rank + 1);
  check_local("LOCAL_RANK", launch);
  if (!launch.is_many()) return launch;
  if (!env.has("MASTER_ADDR"))
    throw ConfigError("MASTER_ADDR: is not set, though RANK and WORLD_SIZE are");
  launch.port = env.number("MASTER_PORT", 1, 65535);
  find_master(env, launch, "", std::nullopt);
  launch.store_is_there = env.text("TORCHELASTIC_USE_AGENT_STORE").value_or("") == "True";
  if (launch.rank == 0 && env.has(kStoreSocket))
    launch.store_socket = env.number(kStoreSocket, 3, 1 << 20);
  launch.attempt = env.text("TORCHELASTIC_RUN_ID").value_or("0") + "." +
                   env.text("TORCHELASTIC_RESTART_COUNT").value_or("0");
  return launch;
}

Launch from_open_mpi(const Reader& env) {
  Launch launch;
  launch.launcher = "mpirun";
  launch.size = env.number("OMPI_COMM_WORLD_SIZE", 1, kMostRanks);
  launch.rank = env.number("OMPI_COMM_WORLD_RANK", 0, launch.size - 1);
  launch.local_rank = env.number("OMPI_COMM_WORLD_LOCAL_RANK", 0, launch.size - 1);
  launch.local_size = env.number("OMPI_COMM_WORLD_LOCAL_SIZE", 1, launch.size);
  check_local("OMPI_COMM_WORLD_LOCAL_RANK", launch);
  if (!launch.is_many()) return launch;
  const auto job =
      env.text("PMIX_NAMESPACE").value_or("") + env.text("OMPI_MCA_ess_base_jobid").value_or("");
  find_master(env, launch, job, std::nullopt);
  launch.attempt = job;
  return launch;
}

// Ranks on the first machine of a list such as "8(x2),4"; 1 where there is none.
int first_count(const Reader& env) {
  const auto list = env.text("SLURM_STEP_TASKS_PER_NODE").value_or("1");
  int count = 1;
  std::from_chars(list.data(), list.data() + list.size(), count);
  return std::max(1, count);
}

Launch from_slurm(const Reader& env) {
  Launch launch;
  launch.launcher = "srun";
  launch.size = env.number("SLURM_STEP_NUM_TASKS", 1, kMostRanks);
  launch.rank = env.number("SLURM_PROCID", 0, launch.size - 1);
  launch.local_rank = env.number("SLURM_LOCALID", 0, launch.size - 1);
  const bool is_one_machine = env.number("SLURM_STEP_NUM_NODES", 1, kMostRanks) == 1;
  launch.local_size =
      is_one_machine ? launch.size
                     : std::max(launch.local_rank + 1, std::min(first_count(env), launch.size - 1));
  check_local("SLURM_LOCALID", launch);
  if (!launch.is_many()) return launch;
  const auto job = env.text("SLURM_JOB_ID").value_or("") + "." + *env.text("SLURM_STEP_ID");
  std::optional<std::string> host;
  if (const auto list = env.text("SLURM_STEP_NODELIST")) {
    host = first_host(*list);
    check_host("SLURM_STEP_NODELIST", *host);
  }
  find_master(env, launch, job, host);
  launch.attempt = job + "." + env.text("SLURM_RESTART_COUNT").value_or("0");
  return launch;
}

}  // namespace

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
}

std::string first_host(const std::string& node_list) {
  const auto comma = node_list.find(','), bracket = node_list.find('[');
  if (bracket == std::string::npos || comma < bracket) return node_list.substr(0, comma);
  const auto end = node_list.find_first_of(",-]", bracket + 1);
  const auto number =
      node_list.substr(bracket + 1, end == std::string::npos ? end : end - bracket - 1);
  return node_list.substr(0, bracket) + number;
}

Launch read_launch(const Environment& environment) {
  const Reader env(environment);
  if (env.has("RANK") || env.has("WORLD_SIZE")) return from_rank_variables(env);
  if (env.has("OMPI_COMM_WORLD_RANK") || env.has("OMPI_COMM_WORLD_SIZE")) return from_open_mpi(env);
  // The batch script of a job has SLURM_PROCID as well, but only a step has an id of its own.
  if (env.has("SLURM_STEP_ID") && env.has("SLURM_PROCID")) return from_slurm(env);
  return {};
}

}  // namespace finer::dist
