#pragma once

#include "finer/core/fields.h"
#include "finer/train/config.h"

namespace finer {

inline void describe(FieldVisitor& v, TrainConfig& c) {
  v.field("language", c.language, "how the language model takes part",
          one_of("frozen", "lora", "full"));
  v.field("projector", c.projector, "how the projector takes part", one_of("frozen", "full"));
  v.field("vision", c.vision, "how the vision model takes part", one_of("frozen", "lora", "full"));
  v.field("recompute", c.recompute,
          "full: decoder layers are computed again in the backward pass, for less memory",
          one_of("none", "full"));
  v.field("max_bad_steps", c.max_bad_steps, "steps in a row without a finite loss that end the run",
          between(1, 1e9));
}

inline void describe(FieldVisitor& v, OptimConfig& c) {
  v.field("lr", c.lr, "peak learning rate", above(0), at_most(100));
  v.field("projector_lr", c.projector_lr, "of the projector; 0: lr", at_least(0), at_most(100));
  v.field("vision_lr", c.vision_lr, "of the vision model; 0: lr", at_least(0), at_most(100));
  v.field("schedule", c.schedule, "the rate after warm-up", one_of("cosine", "linear", "constant"));
  v.field("warmup_ratio", c.warmup_ratio, "share of the steps in which the rate rises",
          between(0, 1));
  v.field("warmup_steps", c.warmup_steps, "steps in which the rate rises, instead of warmup_ratio",
          between(0, 1e12));
  v.field("min_lr_ratio", c.min_lr_ratio, "cosine and linear end at this share of the rate",
          between(0, 1));
  v.field("matrices", c.matrices,
          "what updates weight matrices that train in full; muon: orthogonalized momentum, AdamW "
          "for vectors, embeddings, head and adapters",
          one_of("adamw", "muon"));
  v.field(
      "muon_lr", c.muon_lr,
      "peak rate of Muon's matrices in parts without a rate of their own, an update's root mean "
      "square being 0.2 times it; 0: lr",
      at_least(0), at_most(100));
  v.field("muon_momentum", c.muon_momentum, "Muon's", at_least(0), below(1));
  v.field("muon_steps", c.muon_steps, "Newton-Schulz steps of an update of Muon's", between(1, 20));
  v.field("weight_decay", c.weight_decay, "AdamW's and Muon's", at_least(0), at_most(100));
  v.field("beta1", c.beta1, "AdamW's", at_least(0), below(1));
  v.field("beta2", c.beta2, "AdamW's", at_least(0), below(1));
  v.field("eps", c.eps, "AdamW's", above(0), at_most(1));
  v.field("clip_norm", c.clip_norm, "longest gradient over all that trains; 0: no clipping",
          at_least(0), at_most(1e12));
  v.field("epochs", c.epochs, "times over the data; may be a fraction", above(0), at_most(1e6));
  v.field("steps", c.steps, "above 0: the run ends after this many steps", between(0, 1e12));
}

inline void describe(FieldVisitor& v, LossConfig& c) {
  v.field("norm", c.norm,
          "token: mean over the step's target tokens; micro_batch: mean a device pass, then over "
          "passes",
          one_of("token", "micro_batch"));
  v.field("chunk_tokens", c.chunk_tokens, "target positions whose logits exist at a time",
          between(1, 1048576));
}

inline void describe(FieldVisitor& v, CheckpointConfig& c) {
  v.field("every_steps", c.every_steps, "0: only at the end and when stopped", between(0, 1e12));
  v.field("keep", c.keep, "last checkpoints that stay on disk", between(1, 1e6));
}

inline void describe(FieldVisitor& v, LogConfig& c) {
  v.field("every_steps", c.every_steps, "steps between progress lines; metrics.jsonl has each step",
          between(1, 1e12));
  v.field("tensorboard", c.tensorboard, "writes TensorBoard's event file");
  v.field("profile_step", c.profile_step,
          "this step of rank 0 runs under LibTorch's profiler: RUN/profile/step-N.txt, and .json "
          "for ui.perfetto.dev; 0: none does",
          between(0, 1e12));
}

}  // namespace finer
