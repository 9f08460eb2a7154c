#pragma once

#include "finer/core/config_io.h"
#include "finer/recipe/recipe.h"

namespace finer {

/// Combinations of keys that no single rule sees: what contradicts itself or does nothing goes to
/// `document` as faults. A check is left out where one of its keys is already at fault.
///
/// Then puts keys that mean nothing here to one value (no adapter: the default lora section; text
/// only: no vision), so that a resolved recipe reads back to an equal one.
void cross_check(ConfigDocument& document, Recipe& recipe);

}  // namespace finer
