#pragma once

#include "data/loader.h"
#include "finer/recipe/recipe.h"

#include <cstdint>
#include <string>

namespace finer {

/// What a user is told when a step does not fit into the device's memory: the largest device pass,
/// its longest sample, the most bytes held before, what the allocator was asked for, and
/// settings that need less.
///
/// allocator_text: the first line of LibTorch's error, "CUDA out of memory. Tried to allocate ...".
std::string memory_full_text(const data::StepBatch& batch, const Recipe& recipe, int64_t peak_bytes,
                             const std::string& allocator_text);

}  // namespace finer
