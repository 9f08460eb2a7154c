#pragma once

#include "finer/core/fields.h"
#include "lora/config.h"

namespace finer::lora {

inline void describe(FieldVisitor& v, LoraConfig& c) {
  v.field("rank", c.rank, "inner size of each update", between(1, 65536));
  v.field("alpha", c.alpha, "updates are scaled by alpha / rank", above(0), at_most(1e6));
  v.field("dropout", c.dropout, "share of an update's input that is dropped", at_least(0),
          below(1));
  v.field("rslora", c.rslora, "updates are scaled by alpha / sqrt(rank) instead");
  v.field("targets", c.targets,
          "names within the language model, or patterns over full layer paths; each must match",
          not_empty(), distinct());
  v.field("rank_pattern", c.rank_pattern, "pattern: rank, where it differs", between(1, 65536));
  v.field("alpha_pattern", c.alpha_pattern, "pattern: alpha, where it differs", above(0),
          at_most(1e6));
  v.field("init_from", c.init_from, "directory of a PEFT adapter to start from; empty: a new one");
}

}  // namespace finer::lora
