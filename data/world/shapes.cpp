#include "data/world/shapes.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace finer::data {

namespace {

constexpr double kFar = 4;  // beyond every picture

Point minus(Point a, Point b) { return {a.x - b.x, a.y - b.y}; }
double dot(Point a, Point b) { return a.x * b.x + a.y * b.y; }

// Where on the segment from a to b a place is nearest: 0 at a, 1 at b.
double nearest_share(Point place, Point a, Point b) {
  const Point along = minus(b, a);
  const double length2 = dot(along, along);
  return length2 == 0 ? 0 : std::clamp(dot(minus(place, a), along) / length2, 0.0, 1.0);
}

double distance2_to_segment(Point place, Point a, Point b, double share) {
  const Point foot{a.x + share * (b.x - a.x), a.y + share * (b.y - a.y)};
  const Point apart = minus(place, foot);
  return dot(apart, apart);
}

void set_box(Shape& shape, const std::vector<Point>& points, double margin) {
  shape.low = {kFar, kFar};
  shape.high = {-kFar, -kFar};
  for (const auto& point : points) {
    shape.low = {std::min(shape.low.x, point.x - margin), std::min(shape.low.y, point.y - margin)};
    shape.high = {std::max(shape.high.x, point.x + margin),
                  std::max(shape.high.y, point.y + margin)};
  }
}

}  // namespace

Shape ellipse(Point centre, double radius_x, double radius_y, double turn) {
  Shape shape;
  const double c = std::cos(turn), s = std::sin(turn);
  shape.distance = [=](Point place) {
    const Point from = minus(place, centre);
    const double u = (c * from.x + s * from.y) / radius_x;
    const double v = (c * from.y - s * from.x) / radius_y;
    const double size = std::sqrt(u * u + v * v);
    const double slope = std::sqrt(u * u / (radius_x * radius_x) + v * v / (radius_y * radius_y));
    return slope == 0 ? -std::min(radius_x, radius_y) : size * (size - 1) / slope;
  };
  set_box(shape, {centre}, std::max(radius_x, radius_y));
  return shape;
}

Shape circle(Point centre, double radius) { return ellipse(centre, radius, radius); }

Shape polygon(std::vector<Point> corners, double round) {
  Shape shape;
  set_box(shape, corners, round);
  shape.distance = [corners = std::move(corners), round](Point place) {
    double nearest2 = kFar * kFar;
    bool is_inside = false;
    for (size_t i = 0, last = corners.size() - 1; i < corners.size(); last = i++) {
      const Point a = corners[last], b = corners[i];
      nearest2 = std::min(nearest2, distance2_to_segment(place, a, b, nearest_share(place, a, b)));
      const bool crosses = (a.y > place.y) != (b.y > place.y);
      if (crosses && place.x < a.x + (place.y - a.y) / (b.y - a.y) * (b.x - a.x)) {
        is_inside = !is_inside;
      }
    }
    const double nearest = std::sqrt(nearest2);
    return (is_inside ? -nearest : nearest) - round;
  };
  return shape;
}

Shape stroke(std::vector<Point> points, double first_radius, double last_radius) {
  Shape shape;
  set_box(shape, points, std::max(first_radius, last_radius));
  shape.distance = [points = std::move(points), first_radius, last_radius](Point place) {
    const double num_segments = static_cast<double>(points.size() - 1);
    double nearest = kFar;
    for (size_t i = 0; i + 1 < points.size(); ++i) {
      const double share = nearest_share(place, points[i], points[i + 1]);
      const double radius = first_radius + (last_radius - first_radius) *
                                               (static_cast<double>(i) + share) / num_segments;
      const double distance2 = distance2_to_segment(place, points[i], points[i + 1], share);
      nearest = std::min(nearest, std::sqrt(distance2) - radius);
    }
    return nearest;
  };
  return shape;
}

Shape united(std::vector<Shape> shapes) {
  Shape shape;
  std::vector<Point> corners;
  for (const auto& part : shapes) {
    corners.push_back(part.low);
    corners.push_back(part.high);
  }
  set_box(shape, corners, 0);
  shape.distance = [shapes = std::move(shapes)](Point place) {
    double nearest = kFar;
    for (const auto& part : shapes) nearest = std::min(nearest, part.distance(place));
    return nearest;
  };
  return shape;
}

Shape common(Shape a, Shape b) {
  Shape shape;
  shape.low = {std::max(a.low.x, b.low.x), std::max(a.low.y, b.low.y)};
  shape.high = {std::min(a.high.x, b.high.x), std::min(a.high.y, b.high.y)};
  shape.distance = [a = std::move(a), b = std::move(b)](Point place) {
    constexpr double kOutside = 0.25;  // further than any outline reaches
    const double first = a.distance(place);
    return first > kOutside ? first : std::max(first, b.distance(place));
  };
  return shape;
}

Shape below(double top) {
  Shape shape;
  shape.low = {-kFar, top};
  shape.high = {kFar, kFar};
  shape.distance = [top](Point place) { return top - place.y; };
  return shape;
}

}  // namespace finer::data
