#pragma once

#include "data/config.h"
#include "finer/core/fields.h"

namespace finer::data {

inline void describe(FieldVisitor& v, SetConfig& c) {
  v.field("path", c.path, "LLaVA conversations, JSON array or JSONL", required(), not_empty());
  v.field("images", c.images, "folder the records' image is relative to; empty: the file's own");
  v.field("weight", c.weight,
          "share: 2 is every sample twice an epoch, 0.5 a new half of them each epoch", above(0),
          at_most(1e6));
  v.field("loss_weight", c.loss_weight, "factor on the loss of this set's target tokens", above(0),
          at_most(1e6));
  v.field("conversation", c.conversation, "how this set's turns become text; empty: as data's",
          one_of("", "vicuna_v1", "vicuna_v1_bare", "plain"));
}

inline void describe(FieldVisitor& v, DataConfig& c) {
  v.field("sets", c.sets, "files to train on", required(), not_empty());
  v.field("conversation", c.conversation, "how turns become text",
          one_of("vicuna_v1", "vicuna_v1_bare", "plain"));
  v.field("image_aspect", c.image_aspect,
          "pad: to a square with the mean colour; crop: the middle square", one_of("pad", "crop"));
  v.field("max_tokens", c.max_tokens, "longest sample, image positions counted",
          between(2, 1048576));
  v.field("over_length", c.over_length, "what happens to longer samples",
          one_of("cut_text", "drop", "error"));
  v.field("zero_label", c.zero_label, "what happens to samples without a target token",
          one_of("error", "drop", "allow"));
  v.field("on_bad_record", c.on_bad_record, "what happens at an unreadable record or picture",
          one_of("stop", "skip"));
  v.field("max_bad_records", c.max_bad_records, "skip: the run stops after this many",
          between(0, 1e12));
  v.field("shuffle", c.shuffle, "new order each epoch, drawn from the seed; false: file order");
  v.field(
      "picture_group", c.picture_group,
      "up to this many records of one picture in a set stay together when the order is drawn, so "
      "that a device pass computes the picture once (batch.share_prefix)",
      between(1, 1024));
  v.field("workers", c.workers, "threads that prepare samples; their number changes no result",
          between(1, 256));
  v.field("prefetch_steps", c.prefetch_steps, "optimizer steps prepared ahead", between(1, 1024));
}

inline void describe(FieldVisitor& v, BatchConfig& c) {
  v.field("samples", c.samples, "samples an optimizer step, over all ranks", between(1, 1048576));
  v.field("device_tokens", c.device_tokens,
          "packed tokens a device pass; one sample alone may be longer", between(1, 67108864));
  v.field("share_prefix", c.share_prefix,
          "what a sample of a device pass begins with like the one before it, system text and "
          "picture, is computed once");
}

}  // namespace finer::data
