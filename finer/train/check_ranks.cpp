#include "finer/dist/check_ranks.h"

#include "finer/core/error.h"
#include "finer/nn/device.h"
#include "finer/train/ranks.h"
#include "finer/train/trainer.h"

#include <algorithm>
#include <fstream>

namespace finer {

namespace {

constexpr int64_t kMostMb = 1000;

// A sum takes its tensor and as much again, on every rank of the machine.
int64_t most_by_memory(int local_size) {
  std::ifstream stream("/proc/meminfo");
  std::string name;
  int64_t kilobytes = 0;
  for (std::string unit; stream >> name >> kilobytes && name != "MemAvailable:";) {
    std::getline(stream, unit);
  }
  return std::clamp<int64_t>(kilobytes / 1000 / (4 * local_size), 1, kMostMb);
}

}  // namespace

std::string check_ranks(int64_t most_mb) {
  const auto launch = dist::read_launch();
  if (!launch.is_many()) {
    throw ConfigError(
        "--check-ranks: one rank only; expected it under torchrun, srun or mpirun with two or more "
        "(docs/cluster.md)");
  }
  Recipe recipe;
  recipe.output = "unused";
  Ranks ranks(launch, recipe);
  std::string table;
  ranks.run([&] {
    const auto own = ranks.own_recipe(recipe);
    ranks.check_cards(own.device);
    const auto device = open_device(own.device);
    ranks.group().open_device(device);
    if (most_mb == 0) most_mb = device.is_cuda() ? kMostMb : most_by_memory(launch.local_size);
    double agreed = 1e9;  // the machine with the least memory decides
    for (const auto& values : ranks.group().gather({static_cast<double>(most_mb)}))
      agreed = std::min(agreed, values[0]);
    ranks.watch().mark(dist::Doing::kFiles, "the measurement of sums and links");
    table = dist::measure_ranks(ranks.group(), device, static_cast<int64_t>(agreed));
    ranks.leave();
    return 0;
  });
  return table;
}

}  // namespace finer
