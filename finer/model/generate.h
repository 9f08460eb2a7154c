#pragma once

#include "finer/model/llava.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace finer {

/// Greedy continuation of one prompt, the plain way: every token runs the whole sequence again.
///
/// prompt_ids   image positions widened (as ReadySample has them)
/// image_begin  first image position, or -1
/// pixels       [1, 3, side, side], undefined without a picture
/// returns      new ids, without `eos_id`
std::vector<int64_t> generate_plain(Llava& model, std::vector<int64_t> prompt_ids,
                                    int64_t image_begin, const at::Tensor& pixels, int64_t eos_id,
                                    int64_t max_new_tokens);

}  // namespace finer
