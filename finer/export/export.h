#pragma once

#include "finer/eval/session.h"

#include <cstdint>
#include <filesystem>
#include <string>

namespace finer {

/// A model, or its adapter, to be written for other programs.
struct ExportRequest {
  SessionConfig from;  // base, adapter, device; dtype empty: the one that the base is stored in
  /// - merged-hf: a llava-hf directory (of a text-only model a LLaMA one), the adapter merged
  /// - llava: original LLaVA's layout, the adapter merged, the vision tower as a CLIP directory
  ///   within
  /// - peft: the adapter in PEFT's layout, from whichever is read: a checkpoint, original LLaVA's
  std::string format;
  std::filesystem::path out;  // a folder that is not there yet
  /// llava: what its config names as the vision tower, instead of one that is written.
  std::string vision_tower;
  int64_t num_prompts = 8;  // drawn ones that are answered before and after merging; 0: none
};

/// Writes the directory, beside and then renamed, and logs what merging changed: rounding to the
/// base's dtype, and the logits of drawn prompts. Throws: ConfigError, CheckpointError.
void export_model(const ExportRequest& request);

}  // namespace finer
