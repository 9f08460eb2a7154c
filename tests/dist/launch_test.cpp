#include "finer/dist/launch.h"

#include "finer/core/error.h"

#include <catch2/catch.hpp>

#include <map>

namespace finer::dist {
namespace {

using Variables = std::map<std::string, std::string>;

Environment with(Variables variables) {
  return [variables](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional<std::string>(found->second);
  };
}

std::string fault(const Variables& variables) {
  try {
    read_launch(with(variables));
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

const Variables kTorchrun = {{"RANK", "3"},
                             {"WORLD_SIZE", "4"},
                             {"LOCAL_RANK", "1"},
                             {"LOCAL_WORLD_SIZE", "2"},
                             {"MASTER_ADDR", "node-a"},
                             {"MASTER_PORT", "29500"},
                             {"TORCHELASTIC_RUN_ID", "job"},
                             {"TORCHELASTIC_RESTART_COUNT", "2"},
                             {"TORCHELASTIC_USE_AGENT_STORE", "True"}};
const Variables kSlurm = {{"SLURM_JOB_ID", "77"},
                          {"SLURM_STEP_ID", "0"},
                          {"SLURM_PROCID", "9"},
                          {"SLURM_STEP_NUM_TASKS", "16"},
                          {"SLURM_LOCALID", "1"},
                          {"SLURM_STEP_NUM_NODES", "2"},
                          {"SLURM_STEP_NODELIST", "gpu[03-04]"}};
const Variables kOpenMpi = {{"OMPI_COMM_WORLD_RANK", "1"},
                            {"OMPI_COMM_WORLD_SIZE", "2"},
                            {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                            {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"},
                            {"PMIX_NAMESPACE", "123456"}};

Variables changed(Variables variables, const std::string& name, const std::string& value) {
  variables[name] = value;
  return variables;
}
Variables without(Variables variables, const std::string& name) {
  variables.erase(name);
  return variables;
}

TEST_CASE("no launcher is one rank", "[dist]") {
  const auto launch = read_launch(with({{"HOME", "/"}}));
  CHECK(launch.size == 1);
  CHECK(launch.launcher == "none");
  CHECK(!launch.is_many());
}

TEST_CASE("torchrun's variables are read, and its agent's store used", "[dist]") {
  const auto launch = read_launch(with(kTorchrun));
  CHECK(launch.launcher == "torchrun");
  CHECK(launch.rank == 3);
  CHECK(launch.size == 4);
  CHECK(launch.local_rank == 1);
  CHECK(launch.local_size == 2);
  CHECK(launch.address == "node-a");
  CHECK(launch.port == 29500);
  CHECK(launch.store_is_there);
  CHECK(launch.attempt == "job.2");
}

TEST_CASE("a PyTorchJob's pod is one rank without a local one", "[dist]") {
  const auto launch = read_launch(with({{"RANK", "1"},
                                        {"WORLD_SIZE", "2"},
                                        {"MASTER_ADDR", "job-master-0"},
                                        {"MASTER_PORT", "23456"}}));
  CHECK(launch.launcher == "environment");
  CHECK(launch.rank == 1);
  CHECK(launch.local_rank == 0);
  CHECK(launch.local_size == 1);
  CHECK(!launch.store_is_there);
}

TEST_CASE("a socket that the starter left open is rank 0's alone", "[dist]") {
  const Variables first = {{"RANK", "0"},
                           {"WORLD_SIZE", "2"},
                           {"MASTER_ADDR", "127.0.0.1"},
                           {"MASTER_PORT", "23456"},
                           {kStoreSocket, "7"}};
  CHECK(read_launch(with(first)).store_socket == 7);
  CHECK(!read_launch(with(changed(first, "RANK", "1"))).store_socket);
  CHECK(!read_launch(with(without(first, kStoreSocket))).store_socket);
  CHECK(fault(changed(first, kStoreSocket, "1")).find("FINER_STORE_SOCKET: found \"1\"") == 0);
}

TEST_CASE("Slurm's step is read, rank 0 being on its first node", "[dist]") {
  const auto launch = read_launch(with(kSlurm));
  CHECK(launch.launcher == "srun");
  CHECK(launch.rank == 9);
  CHECK(launch.size == 16);
  CHECK(launch.local_rank == 1);
  CHECK(launch.address == "gpu03");
  CHECK(launch.port >= 15000);
  CHECK(launch.port == read_launch(with(changed(kSlurm, "SLURM_PROCID", "2"))).port);
  CHECK(launch.port != read_launch(with(changed(kSlurm, "SLURM_STEP_ID", "1"))).port);
}

TEST_CASE("a batch script of Slurm that starts no step is one rank", "[dist]") {
  CHECK(read_launch(with(without(kSlurm, "SLURM_STEP_ID"))).size == 1);
}

TEST_CASE("Open MPI wins over the Slurm step that started its daemon", "[dist]") {
  Variables both = kSlurm;
  both.insert(kOpenMpi.begin(), kOpenMpi.end());
  const auto launch = read_launch(with(both));
  CHECK(launch.launcher == "mpirun");
  CHECK(launch.size == 2);
  CHECK(launch.address == "127.0.0.1");
}

TEST_CASE("Open MPI on several machines needs MASTER_ADDR", "[dist]") {
  const auto spread = changed(changed(kOpenMpi, "OMPI_COMM_WORLD_LOCAL_SIZE", "1"),
                              "OMPI_COMM_WORLD_LOCAL_RANK", "0");
  CHECK(fault(spread).find("MASTER_ADDR: is not set") == 0);
  CHECK(read_launch(with(changed(spread, "MASTER_ADDR", "a"))).address == "a");
}

TEST_CASE("hostile values of the launcher's variables are refused by name", "[dist]") {
  CHECK(fault(changed(kTorchrun, "RANK", "4")) == "RANK: found \"4\", expected 0 to 3");
  CHECK(fault(changed(kTorchrun, "RANK", "-1")).find("RANK: found") == 0);
  CHECK(fault(changed(kTorchrun, "RANK", "1x")).find("RANK: found") == 0);
  CHECK(fault(changed(kTorchrun, "WORLD_SIZE", "99999999999999")).find("WORLD_SIZE: found") == 0);
  CHECK(fault(changed(kTorchrun, "WORLD_SIZE", "0")).find("WORLD_SIZE: found") == 0);
  CHECK(fault(changed(kTorchrun, "MASTER_PORT", "70000")).find("MASTER_PORT: found") == 0);
  CHECK(fault(changed(kTorchrun, "MASTER_ADDR", "a b;")).find("MASTER_ADDR: found") == 0);
  CHECK(fault(changed(kTorchrun, "LOCAL_RANK", "2")).find("LOCAL_RANK: found local rank 2") == 0);
  CHECK(fault(without(kTorchrun, "WORLD_SIZE")).find("WORLD_SIZE: is not set") == 0);
  CHECK(fault(without(kTorchrun, "MASTER_ADDR")).find("MASTER_ADDR: is not set") == 0);
  CHECK(fault(without(kTorchrun, "MASTER_PORT")).find("MASTER_PORT: is not set") == 0);
  CHECK(fault(changed(kSlurm, "SLURM_PROCID", "16")).find("SLURM_PROCID: found") == 0);
  CHECK(fault(changed(kSlurm, "SLURM_STEP_NODELIST", "$(x)")).find("SLURM_STEP_NODELIST") == 0);
  CHECK(fault(without(kOpenMpi, "OMPI_COMM_WORLD_SIZE")).find("OMPI_COMM_WORLD_SIZE") == 0);
}

TEST_CASE("the first host of Slurm's lists", "[dist]") {
  CHECK(first_host("gpu7") == "gpu7");
  CHECK(first_host("gpu7,gpu9") == "gpu7");
  CHECK(first_host("gpu[03-05,9],login") == "gpu03");
  CHECK(first_host("login,gpu[03-05]") == "login");
  CHECK(first_host("rack2-[7,9]") == "rack2-7");
  CHECK(first_host("gpu[") == "gpu");
}

}  // namespace
}  // namespace finer::dist
