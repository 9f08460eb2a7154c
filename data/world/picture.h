#pragma once

#include "data/world/canvas.h"
#include "data/world/kinds.h"
#include "finer/core/rng.h"
#include "finer/image/decode.h"

#include <cstdint>

namespace finer::data {

/// How much pictures of one combination differ from each other.
struct Variation {
  double turn = 0.12;                        // radians, to either side
  double scale = 0.08;                       // of 1, to either side
  double shift = 0.08;                       // of half the picture, to either side, both ways
  double colour = 0.06;                      // of each channel of each part's colour
  double tint = 0.08;                        // of the background's channels
  double gradient = 0.08;                    // of the background, from top to bottom
  double grey_low = 0.42, grey_high = 0.68;  // of the background
  double brightness_low = 0.85, brightness_high = 1.08;
  double noise = 0.03;  // standard deviation a channel
};

/// Draws one picture of a combination. The chances (pose, light, noise) come from `rng` and are
/// drawn in an order that does not depend on the combination: with the same state two combinations
/// are seen in the same pose and light.
Image draw_picture(const CoarseKind& kind, const Combination& values, int64_t side_px, Rng& rng,
                   const Variation& variation = {});

}  // namespace finer::data
