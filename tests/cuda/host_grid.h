#pragma once

// Runs CUDA kernels on the CPU, so that their arithmetic and indexing are tested where there is no
// device: include this before a .cu file. A thread of the block is a thread here; blocks come one
// after the other. What it cannot show: races between blocks, alignment faults, speed.

#include <cuda_runtime_api.h>

#include <barrier>
#include <cmath>
#include <memory>
#include <thread>
#include <vector>

#undef __global__
#undef __device__
#undef __host__
#undef __shared__
#define __global__
#define __device__
#define __host__
#define __shared__ static

namespace finer::cuda {

namespace host_grid {

struct Index {
  unsigned x = 0;
};

struct Block {
  explicit Block(int threads) : all(threads) {
    for (int w = 0; w < threads / 32; ++w) warps.push_back(std::make_unique<std::barrier<>>(32));
  }
  std::barrier<> all;
  std::vector<std::unique_ptr<std::barrier<>>> warps;
  float lanes[1024] = {};
};

inline Block* block = nullptr;

}  // namespace host_grid

inline thread_local host_grid::Index threadIdx, blockIdx, blockDim;

inline void __syncthreads() { host_grid::block->all.arrive_and_wait(); }

inline void __syncwarp() { host_grid::block->warps[threadIdx.x / 32]->arrive_and_wait(); }

inline float __shfl_xor_sync(unsigned /*mask*/, float x, int lanes) {
  auto& block = *host_grid::block;
  auto& warp = *block.warps[threadIdx.x / 32];
  block.lanes[threadIdx.x] = x;
  warp.arrive_and_wait();
  const float other = block.lanes[threadIdx.x ^ static_cast<unsigned>(lanes)];
  warp.arrive_and_wait();
  return other;
}

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), unsigned blocks, int threads, cudaStream_t /*stream*/,
            Arguments... arguments) {
  host_grid::Block state(threads);
  host_grid::block = &state;
  std::vector<std::thread> workers;
  for (int t = 0; t < threads; ++t) {
    workers.emplace_back([=, &state] {
      threadIdx.x = static_cast<unsigned>(t);
      blockDim.x = static_cast<unsigned>(threads);
      for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x) {
        kernel(arguments...);
        state.all.arrive_and_wait();
      }
    });
  }
  for (auto& worker : workers) worker.join();
}

}  // namespace finer::cuda
