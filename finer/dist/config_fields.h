#pragma once

#include "finer/core/fields.h"
#include "finer/dist/config.h"

namespace finer::dist {

inline void describe(FieldVisitor& v, DistConfig& c) {
  v.field(
      "timeout_s", c.timeout_s,
      "a rank that gives no sign for so long ends the job (reading and writing files: ten times "
      "as long)",
      at_least(5), at_most(86400));
  v.field("bucket_mb", c.bucket_mb,
          "gradients are summed over ranks in pieces of this size, while the rest is computed",
          between(1, 4096));
}

inline void describe(FieldVisitor& v, LoadConfig& c) {
  v.field("stagger", c.stagger,
          "one rank a machine reads the base model at a time; the page cache serves the others");
}

}  // namespace finer::dist
