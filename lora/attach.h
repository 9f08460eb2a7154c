#pragma once

#include "finer/model/llava.h"
#include "lora/config.h"

#include <cstdint>
#include <string>
#include <vector>

namespace finer::lora {

/// Which parts of the model may get adapters.
struct AttachParts {
  bool language = true;
  bool vision = false;
};

/// Puts adapters into every layer that a target matches, A drawn from the seed (uniform within 1 /
/// sqrt(in), as PEFT), B zero, float32, on the model's device.
///
/// A target without dots and stars is a layer's own name (`q_proj`) in any part that takes
/// adapters; one with them is a pattern over full paths, `*` within a name, `**` across names
/// (`language_model.layers.1*.**`). Patterns of rank_pattern and alpha_pattern read the same; the
/// first match in name order counts. Throws: RecipeError for a target that matches nothing (with
/// the nearest name), or a part without any.
void attach(Llava& model, const LoraConfig& config, const AttachParts& parts, uint64_t seed);

/// Whether `pattern` (a name or a path pattern, as above) matches the full path of a layer.
bool matches_path(const std::string& pattern, const std::string& path);

/// The Linears that hold adapters, in model order.
std::vector<Linear*> adapted_linears(Llava& model);

/// Parameters in adapters.
int64_t adapter_parameters(Llava& model);

}  // namespace finer::lora
