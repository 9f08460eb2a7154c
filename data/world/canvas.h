#pragma once

#include "data/world/shapes.h"
#include "finer/core/rng.h"
#include "finer/image/decode.h"

#include <cstdint>
#include <vector>

namespace finer::data {

/// Red, green and blue in [0, 1].
struct Colour {
  double red = 0, green = 0, blue = 0;
};

Colour mixed(Colour a, Colour b, double share_of_b);

/// How an object stands in its picture.
struct Pose {
  double turn = 0;   // radians
  double scale = 1;  // of the object
  Point shift;       // of its middle
};

/// Square picture that shapes are painted on, one over the other. A pixel takes as much of a
/// shape's colour as the shape covers of it, by the distance of its middle from the edge.
class Canvas {
 public:
  Canvas(int64_t side_px, const Pose& pose);

  /// top, bottom  colours of the first and the last row; between them they blend
  void fill_background(Colour top, Colour bottom);
  /// A part and its outline: the shape made larger by outline_px all around, under the shape
  /// itself. colour_at gets places in the object's frame.
  void paint(const Shape& shape, Colour outline, double outline_px,
             const std::function<Colour(Point)>& colour_at);
  void paint(const Shape& shape, Colour colour);
  /// Darkens what is there: `strength` at the shape's inside, fading over `softness` outside it.
  void shade(const Shape& shape, double strength, double softness);

  /// In the object's frame.
  double pixel_size() const { return pixel_size_; }
  /// Multiplies all by `brightness`, adds noise of so much standard deviation, rounds to 8 bits.
  Image finish(double brightness, double noise, Rng& rng) const;

 private:
  // Calls visit(pixel, place, distance) for each pixel that the shape, grown by so much, may touch.
  template <class Visit>
  void cover(const Shape& shape, double grow, const Visit& visit);
  Point to_object(double column, double row) const;

  int64_t side_px_;
  Pose pose_;
  double cos_, sin_, pixel_size_;
  std::vector<Colour> pixels_;
};

}  // namespace finer::data
