#pragma once

#include "finer/model/config.h"
#include "finer/model/llava.h"

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace finer {

/// Builds the model that a recipe names and fills it: from its files, or from the seed.
///
/// Files are mapped and copied tensor by tensor into place, one file at a time: host memory peaks
/// at the model and one shard. Every weight must be there exactly once, with the shape the config
/// gives; a left-over tensor is a fault. Throws: ConfigError, CheckpointError naming file and
/// tensor.
std::unique_ptr<Llava> load_llava(const ModelConfig& model, at::Device device, uint64_t seed);

/// The model's sizes without memory: tensors on the meta device (dry run). Headers of the files are
/// checked as load_llava would.
std::unique_ptr<Llava> plan_llava(const ModelConfig& model);

/// Fills every weight from the seed, each by its own name, so that the order of building changes
/// nothing: matrices N(0, 1 / in) (those that write to the residual stream also / sqrt(2 layers)),
/// embeddings N(0, 0.02), norms 1, biases 0; the projector as torch.nn.Linear does.
void init_weights(Llava& model, uint64_t seed);

/// Files the base is read from, in reading order.
std::vector<std::filesystem::path> base_files(const ModelConfig& model);

/// The dtype that most of the base's language weights are stored in, as recipes name it; float32
/// where that is none of them, or nothing is stored (from_scratch).
std::string stored_dtype(const ModelConfig& model);

at::ScalarType dtype_from_name(const std::string& name);  // float32 | bfloat16 | float16

}  // namespace finer
