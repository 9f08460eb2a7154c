#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace finer::data {

/// One file of conversations and the folder its pictures are in.
struct SetConfig {
  std::string path;     // LLaVA JSON (array) or JSONL
  std::string images;   // root the records' `image` is relative to; empty: the file's own folder
  double weight = 1.0;  // share: 2 = each sample twice an epoch, 0.5 = a new half each epoch
  double loss_weight = 1.0;  // factor on the loss of this set's target tokens
  std::string conversation;  // as DataConfig::conversation; empty: that one
};

struct DataConfig {
  std::vector<SetConfig> sets;
  std::string conversation = "vicuna_v1";  // vicuna_v1 | vicuna_v1_bare | plain
  std::string image_aspect = "pad";        // pad | crop
  int64_t max_tokens = 2048;               // longest sample, image positions counted
  std::string over_length = "cut_text";    // cut_text | drop | error
  std::string zero_label = "error";        // error | drop | allow
  std::string on_bad_record = "stop";      // stop | skip
  int64_t max_bad_records = 100;           // skip: the run stops after this many
  bool shuffle = true;
  int64_t picture_group = 1;   // records of one picture that stay together
  int64_t workers = 2;         // loader threads; their number changes nothing in the result
  int64_t prefetch_steps = 2;  // optimizer steps prepared ahead
};

/// How samples become optimizer steps and device passes.
struct BatchConfig {
  int64_t samples = 128;          // samples an optimizer step, over all ranks
  int64_t device_tokens = 16384;  // packed tokens a device pass; one sample alone may be longer
  bool share_prefix = true;  // what a sample begins with like the one before it is computed once
};

}  // namespace finer::data
