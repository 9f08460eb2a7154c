#pragma once

#include "finer/model/generator.h"

#include <cstdint>
#include <span>

namespace finer {

/// The next token of one sequence.
///
/// logits_V  of the whole vocabulary, float32
/// index     which new token of the prompt's answer this is, from 0
///
/// temperature 0: the greatest, the first of equal ones. Otherwise drawn from softmax(logits /
/// temperature), cut to the likeliest tokens that together reach top_p; the draw is a pure function
/// of (seed, index). Source of top-p: https://arxiv.org/abs/1904.09751.
int64_t choose_token(std::span<const float> logits_V, const GeneratePrompt& prompt, int64_t index);

}  // namespace finer
