#pragma once

#include <functional>
#include <optional>
#include <string>

namespace finer::dist {

/// Environment variable with the number of a socket that listens at MASTER_PORT, which the starter
/// of rank 0 has left open for its store.
inline constexpr const char* kStoreSocket = "FINER_STORE_SOCKET";

/// Who this process is among the ranks of its job, as the launcher says.
struct Launch {
  std::string launcher = "none";  // none | torchrun | mpirun | srun | environment
  int rank = 0;
  int size = 1;  // ranks in all; 1: nothing of c10d is ever touched
  int local_rank = 0;
  int local_size = 1;  // ranks on this machine
  std::string address = "127.0.0.1";
  int port = 0;
  std::optional<int> store_socket;  // kStoreSocket's, on rank 0
  bool store_is_there = false;      // the launcher's agent holds the store: no rank does
  std::string attempt = "0";        // keys of an earlier start of the same job are never read

  bool is_many() const { return size > 1; }
};

/// The value of a variable, or none.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

Environment process_environment();

/// Reads the ranks from whichever launcher's variables are there, the innermost first:
///
/// - torchrun, or a PyTorchJob: RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, LOCAL_RANK (0 in a
///   PyTorchJob, whose pods hold one rank each), LOCAL_WORLD_SIZE;
/// - Open MPI: OMPI_COMM_WORLD_{RANK,SIZE,LOCAL_RANK,LOCAL_SIZE};
/// - Slurm, in a step that srun started: SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_LOCALID.
///
/// MASTER_ADDR and MASTER_PORT win where they are set; without them rank 0's machine is the first
/// of Slurm's step, or this one where all ranks are on it, and the port is drawn from the job's
/// name. None of these: one rank. Throws: ConfigError naming the variable, for one that is missing
/// beside the others or no number in its range.
Launch read_launch(const Environment& environment = process_environment());

/// First host of a Slurm list: "gpu[03-05,9],login" -> "gpu03".
std::string first_host(const std::string& node_list);

}  // namespace finer::dist
