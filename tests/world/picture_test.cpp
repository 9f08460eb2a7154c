#include "data/world/picture.h"

#include "data/world/png_file.h"
#include "data/world/sheet.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdlib>

namespace finer::data {

namespace {

constexpr int64_t kSidePx = 48;

// Pixels that differ by more than noise and jitter could be told apart from.
int64_t changed_pixels(const Image& a, const Image& b) {
  constexpr int kClearly = 30;  // of 255, in one channel
  int64_t count = 0;
  for (size_t i = 0; i < a.rgb.size(); i += 3) {
    int most = 0;
    for (size_t c = i; c < i + 3; ++c) most = std::max(most, std::abs(a.rgb[c] - b.rgb[c]));
    count += most > kClearly;
  }
  return count;
}

Image drawn(const CoarseKind& kind, const Combination& values, uint64_t seed,
            const Variation& variation = {}) {
  Rng rng(seed);
  return draw_picture(kind, values, kSidePx, rng, variation);
}

}  // namespace

TEST_CASE("two values of a slot differ in 25 pixels or more, whatever the pose", "[world]") {
  // Corners of what can be drawn, beside chance: most turned, smallest, most shifted.
  Variation corner;
  corner.noise = 0;
  for (const auto& kind : coarse_kinds()) {
    for (size_t slot = 0; slot < kNumSlots; ++slot) {
      const int num_values = static_cast<int>(slot_values(kind.slots[slot].kind).size());
      int64_t fewest = kSidePx * kSidePx;
      for (uint64_t seed = 0; seed < 60; ++seed) {
        Combination values{};
        for (size_t i = 0; i < kNumSlots; ++i) values[i] = static_cast<int>((seed + i) % 4);
        const int a = static_cast<int>(seed) % num_values;
        const int b = (a + 1 + static_cast<int>(seed / 7) % (num_values - 1)) % num_values;
        auto other = values;
        values[slot] = a;
        other[slot] = b;
        fewest = std::min(fewest, changed_pixels(drawn(kind, values, seed, corner),
                                                 drawn(kind, other, seed, corner)));
      }
      CAPTURE(kind.coarse, kind.slots[slot].part, fewest);
      CHECK(fewest >= 40);  // 25 are asked for
    }
  }
}

TEST_CASE("the same chance draws the same picture, another chance another", "[world]") {
  const auto& kind = coarse_kinds()[4];
  CHECK(drawn(kind, {1, 2, 3, 4, 5}, 9).rgb == drawn(kind, {1, 2, 3, 4, 5}, 9).rgb);
  CHECK(drawn(kind, {1, 2, 3, 4, 5}, 9).rgb != drawn(kind, {1, 2, 3, 4, 5}, 10).rgb);
}

TEST_CASE("coarse groups have shapes of their own", "[world]") {
  const Variation still = {0, 0, 0, 0, 0, 0, 0.5, 0.5, 1, 1, 0};
  const auto& kinds = coarse_kinds();
  for (size_t i = 0; i < kinds.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      CAPTURE(kinds[i].coarse, kinds[j].coarse);
      CHECK(changed_pixels(drawn(kinds[i], {0, 0, 1, 2, 3}, 1, still),
                           drawn(kinds[j], {0, 0, 1, 2, 3}, 1, still)) > 300);
    }
  }
}

TEST_CASE("edges are smooth: a disc of radius r covers pi r^2, in between shades", "[world]") {
  Canvas canvas(40, {});
  canvas.fill_background({}, {});
  canvas.paint(circle({0.013, -0.021}, 0.5), Colour{1, 1, 1});
  Rng rng(0);
  const auto image = canvas.finish(1, 0, rng);
  double covered = 0;
  int64_t between = 0;
  for (size_t i = 0; i < image.rgb.size(); i += 3) {
    covered += image.rgb[i] / 255.0;
    between += image.rgb[i] > 0 && image.rgb[i] < 255;
  }
  CHECK(covered == Approx(3.14159265 * 10 * 10).epsilon(0.005));
  CHECK(between > 50);
}

TEST_CASE("a polygon covers its area, from either sense and when turned", "[world]") {
  for (const bool is_reversed : {false, true}) {
    Pose pose;
    pose.turn = 0.3;
    Canvas canvas(60, pose);
    canvas.fill_background({}, {});
    std::vector<Point> corners = {{-0.5, -0.4}, {0.5, -0.4}, {0.5, 0.4}, {-0.5, 0.4}};
    if (is_reversed) std::reverse(corners.begin(), corners.end());
    canvas.paint(polygon(corners), Colour{1, 1, 1});
    Rng rng(0);
    double covered = 0;
    const auto image = canvas.finish(1, 0, rng);
    for (size_t i = 0; i < image.rgb.size(); i += 3) covered += image.rgb[i] / 255.0;
    CHECK(covered == Approx(30.0 * 24).epsilon(0.005));
  }
}

TEST_CASE("a PNG reads back as the picture it was made of", "[world]") {
  const auto picture = drawn(coarse_kinds()[7], {5, 3, 1, 0, 2}, 4);
  const auto bytes = png_bytes(picture);
  const auto read =
      decode_image_bytes({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, "picture");
  CHECK(read.width == kSidePx);
  CHECK(read.rgb == picture.rgb);
}

TEST_CASE("a sheet holds every picture, enlarged", "[world]") {
  const std::vector<Image> pictures(5, drawn(coarse_kinds()[0], {0, 0, 1, 2, 3}, 1));
  const auto sheet = contact_sheet(pictures, 3, 2);
  CHECK(sheet.width == 3 * (48 * 2 + 4) + 4);
  CHECK(sheet.height == 2 * (48 * 2 + 4) + 4);
  CHECK(std::equal(pictures[0].rgb.begin(), pictures[0].rgb.begin() + 3,
                   sheet.rgb.begin() + (4 * sheet.width + 4) * 3));
}

}  // namespace finer::data
