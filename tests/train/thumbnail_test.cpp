#include "finer/train/thumbnail.h"

#include <catch2/catch.hpp>

namespace {

finer::Image gradient(int64_t width, int64_t height) {
  finer::Image image;
  image.width = width;
  image.height = height;
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      image.rgb.push_back(static_cast<uint8_t>(255 * x / width));
      image.rgb.push_back(static_cast<uint8_t>(255 * y / height));
      image.rgb.push_back(40);
    }
  }
  return image;
}

finer::Image decoded(const finer::Thumbnail& thumbnail) {
  const auto* const bytes = reinterpret_cast<const uint8_t*>(thumbnail.bytes.data());
  return finer::decode_image_bytes({bytes, thumbnail.bytes.size()}, "thumbnail");
}

}  // namespace

TEST_CASE("a small picture's thumbnail has the same pixels", "[train]") {
  const auto image = gradient(48, 40);
  const auto thumbnail = finer::make_thumbnail(image);
  CHECK(thumbnail.mime == "image/png");
  const auto back = decoded(thumbnail);
  CHECK(back.width == 48);
  CHECK(back.height == 40);
  CHECK(back.rgb == image.rgb);
}

TEST_CASE("a large picture's thumbnail is a WebP of the same shape and colours", "[train]") {
  const auto thumbnail = finer::make_thumbnail(gradient(1200, 600), 320);
  CHECK(thumbnail.mime == "image/webp");
  CHECK(thumbnail.bytes.size() < 20000);
  const auto back = decoded(thumbnail);
  REQUIRE(back.width == 320);
  REQUIRE(back.height == 160);
  const size_t middle = static_cast<size_t>((80 * 320 + 160) * 3);
  CHECK(std::abs(back.rgb[middle] - 127) < 8);
  CHECK(std::abs(back.rgb[middle + 1] - 127) < 8);
  CHECK(std::abs(back.rgb[middle + 2] - 40) < 8);
}

TEST_CASE("a very thin picture keeps at least one pixel", "[train]") {
  const auto back = decoded(finer::make_thumbnail(gradient(5000, 2), 320));
  CHECK(back.width == 320);
  CHECK(back.height == 1);
  CHECK_THROWS_AS(finer::make_thumbnail(finer::Image{}), std::logic_error);
}
