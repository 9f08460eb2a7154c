#pragma once

#include <functional>
#include <vector>

namespace finer::data {

/// A place in an object's own frame: x to the right, y down, the picture is [-1, 1] squared.
struct Point {
  double x = 0, y = 0;
};

/// A filled shape: how far a place is from its edge (negative inside), and a box that holds it.
/// Distances are exact for polygons and capsules; for ellipses right to first order at the edge,
/// which is all that anti-aliasing asks.
struct Shape {
  std::function<double(Point)> distance;
  Point low, high;  // corners of the box
};

/// turn  radians, from x towards y
Shape ellipse(Point centre, double radius_x, double radius_y, double turn = 0);
Shape circle(Point centre, double radius);
/// At least three corners, in either sense; round: the edge is moved outwards by so much, which
/// rounds the corners.
Shape polygon(std::vector<Point> corners, double round = 0);
/// A stroke along points, its half width going evenly from the first to the last.
Shape stroke(std::vector<Point> points, double first_radius, double last_radius);

Shape united(std::vector<Shape> shapes);
Shape common(Shape a, Shape b);
/// Everything on or below y = top.
Shape below(double top);

}  // namespace finer::data
