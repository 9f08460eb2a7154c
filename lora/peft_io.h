#pragma once

#include "finer/model/llava.h"
#include "lora/config.h"

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>

namespace finer::lora {

/// What is written beside the weights of an adapter.
struct AdapterInfo {
  LoraConfig config;
  std::string base_model;                    // base_model_name_or_path
  bool saves_projector = false;              // under modules_to_save
  std::map<std::string, std::string> finer;  // own facts (versions), in the file's metadata
  bool keeps_base = false;  // `finer` says which base it was trained on, not the model at hand
};

/// Writes `adapter_model.safetensors` and `adapter_config.json` as PEFT does, float32:
/// `lora_A.weight` [R, in] and `lora_B.weight` [out, R] under the module paths of transformers
/// >= 4.52 (`model.language_model.layers...`; a text-only model `model.layers...`), the projector
/// under modules_to_save. `target_modules` is a regular expression over full paths, so that PEFT
/// does not hit layers of the same name in the vision tower. The file's metadata hold
/// `finer_base_language` and `finer_base_vision` (finer/model/fingerprint.h).
///
/// A model without adapters (projector alone trains): `mm_projector.safetensors` in LLaVA's own
/// names instead.
void save_adapter(Llava& model, const AdapterInfo& info, const std::filesystem::path& dir);

/// Reads `adapter_config.json`.
/// Throws: CheckpointError for another kind of adapter (DoRA, bias, layer replication, ...) by
/// name.
AdapterInfo read_adapter_info(const std::filesystem::path& dir);

/// The metadata of a directory's weights; empty where the file has none.
std::map<std::string, std::string> adapter_metadata(const std::filesystem::path& dir);

/// What a directory holds. Throws: CheckpointError.
struct AdapterContents {
  bool has_lora = false, has_projector = false;
};
AdapterContents adapter_contents(const std::filesystem::path& dir);

/// An adapter fits every base of the same shape, and means something on one of them: a sentence
/// where the metadata of a directory that finer wrote name another base than the model's, else
/// empty.
std::string other_base(const Llava& model, const std::filesystem::path& dir);

/// Attaches the adapter of a PEFT directory to a model without one: ranks, scales and targets from
/// the directory, dropout 0; the projector is replaced where the directory has one. Also reads
/// original LLaVA's LoRA directories
/// (`non_lora_trainables.bin`), and finer's own of a projector alone. Warns of other_base().
void load_adapter(Llava& model, const std::filesystem::path& dir);

/// Fills the adapters that the model already has (made by attach) with the weights of a PEFT
/// directory. Throws: CheckpointError where ranks, scales, targets or
/// shapes differ from the recipe's, naming the layer.
void fill_adapter(Llava& model, const std::filesystem::path& dir);

}  // namespace finer::lora
