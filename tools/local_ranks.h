#pragma once

namespace finer::cli {

/// `--ranks N`: starts this program `count` times on this machine, as torchrun would (RANK,
/// WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT), without the option, and
/// waits for all. The port is taken here, and rank 0 is handed its socket (dist::kStoreSocket).
/// Each has its share of the cores, unless OMP_NUM_THREADS is set or the recipe says `threads`.
/// SIGINT, SIGTERM and SIGHUP go on to every rank.
///
/// Returns the job's exit code: 2 where a rank says so, else the first that is not 0; 128 + N for a
/// rank that signal N killed. Throws: ConfigError within a job that a launcher has started.
int start_ranks(int count, char** argv);

}  // namespace finer::cli
