#pragma once

#include <cstdint>
#include <string>

namespace finer {

/// How each part takes part: "frozen" | "lora" | "full" (projector: frozen | full).
struct TrainConfig {
  std::string language = "lora";
  std::string projector = "full";
  std::string vision = "frozen";
  std::string recompute =
      "none";  // none | full: decoder layers are computed again in the backward pass
  int64_t max_bad_steps = 10;  // non-finite steps in a row that end the run
};

struct OptimConfig {
  double lr = 2e-4;
  double projector_lr = 0;          // 0: lr
  double vision_lr = 0;             // 0: lr
  std::string schedule = "cosine";  // cosine | linear | constant
  double warmup_ratio = 0.03;
  int64_t warmup_steps = 0;        // above 0: instead of warmup_ratio
  double min_lr_ratio = 0;         // cosine and linear end at this share of the rate
  std::string matrices = "adamw";  // adamw | muon: weight matrices that train in full
  double muon_lr = 0;              // 0: as AdamW's
  double muon_momentum = 0.95;
  int64_t muon_steps = 5;  // of Newton and Schulz
  double weight_decay = 0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double clip_norm = 1.0;  // 0: no clipping
  double epochs = 1;
  int64_t steps = 0;  // above 0: caps the run
};

struct LossConfig {
  std::string norm = "token";  // token | micro_batch (mean a device pass, then over passes)
  int64_t chunk_tokens = 256;  // target positions whose logits exist at a time
};

struct CheckpointConfig {
  int64_t every_steps = 500;  // 0: only at the end and on signals
  int64_t keep = 2;           // last checkpoints that stay on disk
};

struct LogConfig {
  int64_t every_steps = 1;  // progress lines; metrics.jsonl has every step
  bool tensorboard = true;
  int64_t profile_step = 0;  // this step's operators go to RUN/profile; 0: no step's
};

}  // namespace finer
