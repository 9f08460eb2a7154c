#pragma once

#include <cstdint>
#include <string>

namespace finer {

/// What the report and the model card say about a run. Texts may come from anywhere (file names,
/// configs): who writes them into a page escapes them.

struct RunFact {
  std::string name;   // "device"
  std::string value;  // "NVIDIA H100 80GB HBM3"
};

/// One part of the model.
struct TrainedPart {
  std::string name;       // "language"
  std::string mode;       // "lora" | "full" | "frozen"
  int64_t trainable = 0;  // parameters that moved
  int64_t total = 0;      // parameters in all, adapters counted
  double lr = 0;          // highest rate; unused where nothing trains
  int64_t by_muon = 0;    // of the trainable ones, updated by Muon
  double muon_lr = 0;     // their highest rate
};

/// "0.0002"; "0.0015, by Muon 0.003"; empty: nothing trains.
std::string rate_text(const TrainedPart& part);

/// One file that the run learned from.
struct TrainedSet {
  std::string path;
  std::string hash;  // of its bytes, as the checkpoint holds it
  int64_t records = 0;
  double weight = 1;
};

}  // namespace finer
