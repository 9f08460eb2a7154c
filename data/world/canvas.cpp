#include "data/world/canvas.h"

#include <algorithm>
#include <cmath>

namespace finer::data {

Colour mixed(Colour a, Colour b, double share_of_b) {
  const auto mix = [&](double from, double to) { return from + (to - from) * share_of_b; };
  return {mix(a.red, b.red), mix(a.green, b.green), mix(a.blue, b.blue)};
}

Canvas::Canvas(int64_t side_px, const Pose& pose)
    : side_px_(side_px),
      pose_(pose),
      cos_(std::cos(pose.turn)),
      sin_(std::sin(pose.turn)),
      pixel_size_(2.0 / (static_cast<double>(side_px) * pose.scale)),
      pixels_(static_cast<size_t>(side_px * side_px)) {}

Point Canvas::to_object(double column, double row) const {
  const double side = static_cast<double>(side_px_);
  const double x = ((column + 0.5) / side * 2 - 1 - pose_.shift.x) / pose_.scale;
  const double y = ((row + 0.5) / side * 2 - 1 - pose_.shift.y) / pose_.scale;
  return {cos_ * x + sin_ * y, cos_ * y - sin_ * x};
}

void Canvas::fill_background(Colour top, Colour bottom) {
  for (int64_t row = 0; row < side_px_; ++row) {
    const double share =
        side_px_ > 1 ? static_cast<double>(row) / static_cast<double>(side_px_ - 1) : 0.0;
    std::fill_n(pixels_.begin() + row * side_px_, side_px_, mixed(top, bottom, share));
  }
}

template <class Visit>
void Canvas::cover(const Shape& shape, double grow, const Visit& visit) {
  // The box of the shape, turned into the picture: which pixels to look at.
  const double side = static_cast<double>(side_px_);
  double low_column = side, high_column = -1, low_row = side, high_row = -1;
  for (const double x : {shape.low.x - grow, shape.high.x + grow}) {
    for (const double y : {shape.low.y - grow, shape.high.y + grow}) {
      const double column =
          ((cos_ * x - sin_ * y) * pose_.scale + pose_.shift.x + 1) / 2 * side - 0.5;
      const double row = ((sin_ * x + cos_ * y) * pose_.scale + pose_.shift.y + 1) / 2 * side - 0.5;
      low_column = std::min(low_column, column);
      high_column = std::max(high_column, column);
      low_row = std::min(low_row, row);
      high_row = std::max(high_row, row);
    }
  }
  const auto first = [](double at) { return static_cast<int64_t>(std::max(0.0, std::floor(at))); };
  const auto last = [&](double at) {
    return static_cast<int64_t>(std::min(side - 1, std::ceil(at)));
  };
  for (int64_t row = first(low_row - 1); row <= last(high_row + 1); ++row) {
    for (int64_t column = first(low_column - 1); column <= last(high_column + 1); ++column) {
      const Point place = to_object(static_cast<double>(column), static_cast<double>(row));
      visit(pixels_[static_cast<size_t>(row * side_px_ + column)], place, shape.distance(place));
    }
  }
}

void Canvas::paint(const Shape& shape, Colour outline, double outline_px,
                   const std::function<Colour(Point)>& colour_at) {
  cover(shape, outline_px * pixel_size_, [&](Colour& pixel, Point place, double distance) {
    const double share = 0.5 - distance / pixel_size_;
    if (share + outline_px <= 0) return;
    if (share < 1) pixel = mixed(pixel, outline, std::min(share + outline_px, 1.0));
    if (share > 0) pixel = mixed(pixel, colour_at(place), std::min(share, 1.0));
  });
}

void Canvas::paint(const Shape& shape, Colour colour) {
  cover(shape, 0, [&](Colour& pixel, Point, double distance) {
    pixel = mixed(pixel, colour, std::clamp(0.5 - distance / pixel_size_, 0.0, 1.0));
  });
}

void Canvas::shade(const Shape& shape, double strength, double softness) {
  cover(shape, softness, [&](Colour& pixel, Point, double distance) {
    pixel = mixed(pixel, {}, strength * std::clamp(1 - distance / softness, 0.0, 1.0));
  });
}

Image Canvas::finish(double brightness, double noise, Rng& rng) const {
  Image image{side_px_, side_px_, {}};
  image.rgb.reserve(pixels_.size() * 3);
  // The sum of four uniform 16-bit numbers: close to a bell curve, and equal on every machine.
  const double unit = noise / (65536 * std::sqrt(4.0 / 12));
  const auto put = [&](double value) {
    const uint64_t bits = rng.next();
    const double sum = static_cast<double>((bits & 0xffff) + (bits >> 16 & 0xffff) +
                                           (bits >> 32 & 0xffff) + (bits >> 48));
    const double noisy = value * brightness + (sum - 2 * 65535.0) * unit;
    image.rgb.push_back(static_cast<uint8_t>(std::clamp(noisy, 0.0, 1.0) * 255 + 0.5));
  };
  for (const auto& pixel : pixels_) {
    put(pixel.red);
    put(pixel.green);
    put(pixel.blue);
  }
  return image;
}

}  // namespace finer::data
