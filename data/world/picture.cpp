#include "data/world/picture.h"

#include "finer/core/error.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace finer::data {

namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr double kOutlinePx = 0.55;

constexpr Colour kDark{0.13, 0.12, 0.15};    // eyes
constexpr Colour kBright{0.96, 0.96, 0.94};  // around them
constexpr Colour kWood{0.40, 0.33, 0.29};    // legs, branches
constexpr Colour kStem{0.27, 0.38, 0.24};

// In the order of slot_values.
constexpr std::array<Colour, 6> kPaints = {{{0.86, 0.10, 0.11},
                                            {0.98, 0.84, 0.08},
                                            {0.10, 0.62, 0.20},
                                            {0.14, 0.30, 0.90},
                                            {0.97, 0.97, 0.97},
                                            {0.06, 0.06, 0.07}}};
// What a pattern is drawn with on each of them: far in lightness, no other paint.
constexpr std::array<Colour, 6> kInks = {{{0.36, 0.02, 0.05},
                                          {0.56, 0.34, 0.02},
                                          {0.60, 0.92, 0.58},
                                          {0.62, 0.78, 1.00},
                                          {0.42, 0.42, 0.47},
                                          {0.56, 0.56, 0.60}}};

enum Pattern { kPlainPattern, kStriped, kSpotted, kBarred };

double middle(double low, double high, double share) { return low + (high - low) * share; }

// Distance from the edge of the nearest band of a row of bands, negative inside one.
double distance_to_bands(double at, double period, double width) {
  const double share = at / period - std::floor(at / period) - 0.5;
  return std::abs(share) * period - width / 2;
}

// Spots in rows, each row half a step aside of the one above.
double distance_to_spots(Point place, double step, double radius) {
  double nearest = step;
  const double row_step = step * 0.86;
  const double row = std::floor(place.y / row_step);
  for (const double r : {row, row + 1}) {
    const double aside = std::fmod(std::abs(r), 2.0) == 1 ? 0.5 : 0.0;
    const double column = std::round(place.x / step - aside) + aside;
    nearest = std::min(nearest, std::hypot(place.x - column * step, place.y - r * row_step));
  }
  return nearest - radius;
}

struct SlotPaint {
  Colour paint, ink;
};

// Draws parts by the slot that colours them: slot 0 is the colour of what carries the pattern.
class Painter {
 public:
  Painter(Canvas& canvas, std::array<SlotPaint, kNumSlots> slots, Pattern pattern)
      : canvas_(canvas), slots_(slots), pattern_(pattern) {}

  void fixed(const Shape& shape, Colour colour) { canvas_.paint(shape, colour); }

  void part(const Shape& shape, size_t slot) {
    const Colour paint = slots_[slot].paint;
    canvas_.paint(shape, outline_of(paint), kOutlinePx, [paint](Point) { return paint; });
  }

  // A part in the colour of slot 0 without its pattern: heads, necks.
  void plain(const Shape& shape) { part(shape, 0); }

  // offset: where the pattern's first band begins, so that bands sit well on each body.
  void patterned(const Shape& shape, Point offset = {}, double period = 0.36) {
    const auto [paint, ink] = slots_[0];
    const double pixel = canvas_.pixel_size();
    canvas_.paint(shape, outline_of(paint), kOutlinePx, [=, this](Point place) {
      const Point at{place.x - offset.x, place.y - offset.y};
      double distance = pixel;
      if (pattern_ == kStriped) distance = distance_to_bands(at.x, period, period * 0.46);
      if (pattern_ == kBarred) distance = distance_to_bands(at.y, period, period * 0.46);
      if (pattern_ == kSpotted) distance = distance_to_spots(at, period * 0.92, period * 0.29);
      return mixed(paint, ink, std::clamp(0.5 - distance / pixel, 0.0, 1.0));
    });
  }

  void eye(Point at, double radius) {
    fixed(circle(at, radius), kBright);
    fixed(circle({at.x + radius * 0.2, at.y}, radius * 0.58), kDark);
  }

  void shadow(const Shape& shape) { canvas_.shade(shape, 0.22, 0.12); }

 private:
  static Colour outline_of(Colour paint) {
    const double light = (paint.red + paint.green + paint.blue) / 3;
    return light < 0.2 ? Colour{0.20, 0.20, 0.22} : mixed(paint, Colour{}, 0.5);
  }

  Canvas& canvas_;
  std::array<SlotPaint, kNumSlots> slots_;
  Pattern pattern_;
};

// Slots of birds after the body's: 2 wing, 3 beak, 4 tail.
void draw_owl(Painter& painter) {
  painter.part(
      polygon({{-0.20, 0.40}, {0.20, 0.40}, {0.36, 0.88}, {0.0, 0.96}, {-0.36, 0.88}}, 0.02), 4);
  painter.part(ellipse({-0.52, 0.08}, 0.21, 0.46, 0.30), 2);
  painter.part(ellipse({0.52, 0.08}, 0.21, 0.46, -0.30), 2);
  painter.patterned(ellipse({0, 0.14}, 0.45, 0.45), {0.09, 0.03});
  painter.fixed(stroke({{-0.84, 0.58}, {0.84, 0.58}}, 0.04, 0.04), kWood);
  painter.plain(united({ellipse({0, -0.50}, 0.46, 0.34),
                        polygon({{-0.44, -0.54}, {-0.46, -0.94}, {-0.08, -0.76}}, 0.02),
                        polygon({{0.44, -0.54}, {0.46, -0.94}, {0.08, -0.76}}, 0.02)}));
  painter.eye({-0.22, -0.56}, 0.14);
  painter.eye({0.22, -0.56}, 0.14);
  painter.part(polygon({{-0.18, -0.42}, {0.18, -0.42}, {0, -0.06}}, 0.03), 3);
}

void draw_duck(Painter& painter) {
  painter.shadow(ellipse({-0.02, 0.82}, 0.5, 0.05));
  painter.fixed(stroke({{-0.08, 0.6}, {-0.08, 0.84}, {0.04, 0.84}}, 0.04, 0.04), kWood);
  painter.fixed(stroke({{0.18, 0.6}, {0.18, 0.84}, {0.30, 0.84}}, 0.04, 0.04), kWood);
  painter.part(polygon({{-0.48, 0.44}, {-0.50, 0.12}, {-0.90, -0.14}, {-0.86, 0.36}}, 0.04), 4);
  painter.part(ellipse({-0.30, -0.22}, 0.22, 0.46, -0.55), 2);
  painter.plain(stroke({{0.34, 0.2}, {0.36, -0.36}}, 0.19, 0.17));
  painter.patterned(ellipse({0.0, 0.34}, 0.60, 0.36), {0.09, 0.07});
  painter.part(polygon({{0.52, -0.52}, {0.52, -0.26}, {0.90, -0.20}, {0.92, -0.36}}, 0.04), 3);
  painter.plain(circle({0.36, -0.42}, 0.25));
  painter.eye({0.42, -0.48}, 0.085);
}

void draw_heron(Painter& painter) {
  painter.shadow(ellipse({-0.02, 0.94}, 0.4, 0.03));
  painter.fixed(stroke({{-0.16, 0.3}, {-0.12, 0.94}, {0.02, 0.95}}, 0.035, 0.035), kWood);
  painter.fixed(stroke({{0.06, 0.3}, {0.12, 0.94}, {0.26, 0.95}}, 0.035, 0.035), kWood);
  painter.part(polygon({{-0.40, 0.02}, {-0.94, 0.10}, {-0.88, 0.48}, {-0.36, 0.34}}, 0.03), 4);
  painter.part(ellipse({-0.36, -0.30}, 0.20, 0.44, -0.50), 2);
  painter.plain(stroke({{0.22, 0.08}, {0.34, -0.18}, {0.20, -0.46}, {0.26, -0.72}}, 0.13, 0.11));
  painter.patterned(ellipse({-0.04, 0.14}, 0.48, 0.33, -0.12), {0.09, 0.05});
  painter.part(polygon({{0.34, -0.86}, {0.34, -0.56}, {0.94, -0.58}}, 0.02), 3);
  painter.plain(circle({0.26, -0.72}, 0.19));
  painter.eye({0.31, -0.76}, 0.075);
}

// Slots of fish after the body's: 2 fin, 3 belly, 4 tail.
void draw_eel(Painter& painter) {
  const auto along = [](double from, double to, double aside) {
    std::vector<Point> points;
    constexpr int kPieces = 9;
    for (int i = 0; i <= kPieces; ++i) {
      const double x = middle(from, to, static_cast<double>(i) / kPieces);
      points.push_back({x, 0.14 * std::sin(x * 4.0 + 0.2) + aside});
    }
    return points;
  };
  painter.part(polygon({{-0.50, -0.12}, {-0.96, -0.42}, {-0.86, -0.06}, {-0.96, 0.32}}, 0.05), 4);
  painter.part(stroke(along(-0.46, 0.40, -0.34), 0.16, 0.20), 2);
  const Shape body = stroke(along(-0.52, 0.62, 0), 0.22, 0.33);
  painter.patterned(body, {0.04, 0.0}, 0.30);
  painter.part(common(stroke(along(-0.60, 0.66, 0.36), 0.20, 0.30), body), 3);
  painter.eye({0.72, 0.02}, 0.085);
}

void draw_carp(Painter& painter) {
  painter.part(polygon({{-0.42, 0.0}, {-0.94, -0.48}, {-0.82, 0.0}, {-0.94, 0.48}}, 0.03), 4);
  painter.part(
      united({polygon({{-0.34, -0.28}, {-0.28, -0.80}, {0.26, -0.72}, {0.44, -0.26}}, 0.03),
              polygon({{-0.20, 0.36}, {-0.26, 0.78}, {0.16, 0.42}}, 0.03)}),
      2);
  const Shape body = ellipse({0.12, 0.02}, 0.66, 0.48);
  painter.patterned(body, {0.05, 0.01});
  painter.part(common(below(0.22), body), 3);
  painter.eye({0.54, -0.10}, 0.10);
}

void draw_shark(Painter& painter) {
  painter.part(polygon({{-0.56, 0.02}, {-0.96, -0.56}, {-0.80, 0.02}, {-0.92, 0.46}}, 0.04), 4);
  painter.part(united({polygon({{-0.20, -0.16}, {-0.10, -0.86}, {0.34, -0.16}}, 0.03),
                       polygon({{0.02, 0.2}, {-0.16, 0.78}, {0.36, 0.22}}, 0.03)}),
               2);
  const Shape body = polygon({{-0.70, 0.02},
                              {-0.36, -0.20},
                              {0.02, -0.30},
                              {0.40, -0.24},
                              {0.90, 0.06},
                              {0.70, 0.22},
                              {0.30, 0.34},
                              {-0.10, 0.34},
                              {-0.42, 0.20}},
                             0.04);
  painter.patterned(body, {0.05, -0.02}, 0.34);
  painter.part(common(below(0.13), body), 3);
  painter.eye({0.60, -0.05}, 0.075);
}

// Slots of flowers after the petals': 2 heart, 3 leaf, 4 pot.
void draw_pot_and_leaves(Painter& painter) {
  painter.shadow(ellipse({0, 0.96}, 0.34, 0.03));
  painter.fixed(stroke({{0, -0.2}, {0, 0.66}}, 0.05, 0.05), kStem);
  painter.part(
      united({ellipse({-0.38, 0.40}, 0.34, 0.15, 0.45), ellipse({0.38, 0.40}, 0.34, 0.15, -0.45)}),
      3);
  painter.part(united({polygon({{-0.32, 0.64}, {0.32, 0.64}, {0.24, 0.94}, {-0.24, 0.94}}, 0.02),
                       polygon({{-0.38, 0.62}, {0.38, 0.62}, {0.38, 0.72}, {-0.38, 0.72}}, 0.02)}),
               4);
}

void draw_daisy(Painter& painter) {
  draw_pot_and_leaves(painter);
  constexpr int kPetals = 8;
  const Point middle_of_bloom{0, -0.34};
  std::vector<Shape> petals;
  for (int i = 0; i < kPetals; ++i) {
    const double turn = (i + 0.5) * 2 * kPi / kPetals;
    petals.push_back(ellipse(
        {middle_of_bloom.x + 0.40 * std::cos(turn), middle_of_bloom.y + 0.40 * std::sin(turn)},
        0.25, 0.135, turn));
  }
  painter.patterned(united(std::move(petals)), {0.0, -0.34}, 0.32);
  painter.part(circle(middle_of_bloom, 0.22), 2);
}

void draw_tulip(Painter& painter) {
  draw_pot_and_leaves(painter);
  painter.part(ellipse({0, -0.56}, 0.27, 0.36), 2);
  painter.patterned(polygon({{-0.50, -0.80},
                             {-0.24, -0.46},
                             {0.0, -0.34},
                             {0.24, -0.46},
                             {0.50, -0.80},
                             {0.50, -0.22},
                             {0.30, 0.08},
                             {-0.30, 0.08},
                             {-0.50, -0.22}},
                            0.05),
                    {0.09, -0.02}, 0.34);
}

void draw_poppy(Painter& painter) {
  draw_pot_and_leaves(painter);
  const Point at{0, -0.36};
  painter.patterned(
      united({circle({at.x - 0.27, at.y - 0.24}, 0.33), circle({at.x + 0.27, at.y - 0.24}, 0.33),
              circle({at.x - 0.27, at.y + 0.24}, 0.33), circle({at.x + 0.27, at.y + 0.24}, 0.33)}),
      {0.0, -0.36});
  painter.part(circle(at, 0.22), 2);
}

void draw_kind(const std::string& coarse, Painter& painter) {
  if (coarse == "owl") return draw_owl(painter);
  if (coarse == "duck") return draw_duck(painter);
  if (coarse == "heron") return draw_heron(painter);
  if (coarse == "eel") return draw_eel(painter);
  if (coarse == "carp") return draw_carp(painter);
  if (coarse == "shark") return draw_shark(painter);
  if (coarse == "daisy") return draw_daisy(painter);
  if (coarse == "tulip") return draw_tulip(painter);
  FINER_CHECK(coarse == "poppy", "a drawing for each coarse group, none for " + coarse);
  draw_poppy(painter);
}

}  // namespace

Image draw_picture(const CoarseKind& kind, const Combination& values, int64_t side_px, Rng& rng,
                   const Variation& variation) {
  const auto aside = [&](double most) { return most * (rng.uniform() * 2 - 1); };
  Pose pose;
  pose.turn = aside(variation.turn);
  pose.scale = 1 + aside(variation.scale);
  pose.shift.x = aside(variation.shift);
  pose.shift.y = aside(variation.shift);

  const double grey = middle(variation.grey_low, variation.grey_high, rng.uniform());
  const double tint[] = {aside(variation.tint), aside(variation.tint), aside(variation.tint)};
  const double gradient = aside(variation.gradient);
  const auto background = [&](double step) {
    return Colour{grey + tint[0] + step, grey + tint[1] + step, grey + tint[2] + step};
  };

  std::array<SlotPaint, kNumSlots> slots;
  for (size_t i = 0; i < kNumSlots; ++i) {
    const double jitter[] = {aside(variation.colour), aside(variation.colour),
                             aside(variation.colour)};
    if (kind.slots[i].kind != SlotKind::kColour) continue;
    const auto jittered = [&](Colour colour) {
      return Colour{std::clamp(colour.red + jitter[0], 0.0, 1.0),
                    std::clamp(colour.green + jitter[1], 0.0, 1.0),
                    std::clamp(colour.blue + jitter[2], 0.0, 1.0)};
    };
    const auto value = static_cast<size_t>(values[i]);
    slots[i] = {jittered(kPaints.at(value)), jittered(kInks.at(value))};
  }
  const double brightness =
      middle(variation.brightness_low, variation.brightness_high, rng.uniform());

  Canvas canvas(side_px, pose);
  canvas.fill_background(background(-gradient), background(gradient));
  Painter painter(canvas, slots, static_cast<Pattern>(values[1]));
  draw_kind(kind.coarse, painter);
  return canvas.finish(brightness, variation.noise, rng);
}

}  // namespace finer::data
