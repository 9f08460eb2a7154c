#pragma once

#include "finer/dist/process_group.h"

#include <string>

namespace finer::dist {

/// Times sums over all ranks of 1 MB to most_mb (each size four times the last), and the way from
/// each rank to the next alone; returns rank 0's table, empty on the others.
///
/// Bandwidth is what one rank's link carries: 2 (N - 1) / N times the bytes of the sum over its
/// time (as nccl-tests' busbw). Throws: LinkError.
std::string measure_ranks(ProcessGroup& group, at::Device device, int64_t most_mb);

}  // namespace finer::dist
