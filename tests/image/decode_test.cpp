#include "finer/image/decode.h"

#include "finer/core/error.h"
#include "finer/core/rng.h"
#include "tests/image/fixtures.h"

#include <catch2/catch.hpp>

using finer::DataError;
using finer::test::file_bytes;
using finer::test::kImageGolden;
using finer::test::max_difference;
using finer::test::picture_names;
using finer::test::read_ppm;
using finer::test::TemporaryFolder;

namespace {

// Decodes whatever it is given; true when it was taken for a whole picture.
bool decodes(const std::vector<uint8_t>& bytes, const finer::DecodeLimits& limits = {}) {
  try {
    const auto image = finer::decode_image_bytes(bytes, "test", limits);
    REQUIRE(image.rgb.size() == static_cast<size_t>(image.width * image.height * 3));
    return true;
  } catch (const DataError&) {
    return false;
  }
}

std::string decode_error(const std::vector<uint8_t>& bytes,
                         const finer::DecodeLimits& limits = {}) {
  try {
    finer::decode_image_bytes(bytes, "shelf/cup.jpg", limits);
  } catch (const DataError& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("every kind of picture has the pixels that PIL gives it", "[image]") {
  const auto names = picture_names();
  REQUIRE(names.size() > 80);
  for (const auto& name : names) {
    INFO(name);
    const auto image = finer::decode_image(kImageGolden / "pictures" / name);
    CHECK(max_difference(image, read_ppm(kImageGolden / "rgb" / (name + ".ppm"))) == 0);
  }
}

TEST_CASE("the size read from the header is the size of the picture", "[image]") {
  for (const auto& name : picture_names()) {
    INFO(name);
    const auto size = finer::read_image_size(kImageGolden / "pictures" / name);
    const auto expected = read_ppm(kImageGolden / "rgb" / (name + ".ppm"));
    CHECK(size.width == expected.width);
    CHECK(size.height == expected.height);
  }
}

TEST_CASE("a picture cut before its end is refused", "[image]") {
  for (const auto& name : picture_names()) {
    INFO(name);
    const auto whole = file_bytes(kImageGolden / "pictures" / name);
    // What follows the first frame or the last pixel is not missed: of a PNG, 28 bytes of checksums
    // and empty end. A TIFF's directory may stand before or behind its pixels; the fixtures have
    // both.
    if (name.starts_with("animated.gif") || name.starts_with("trailing") ||
        name.ends_with(".tif")) {
      continue;
    }
    for (size_t size = 0;
         size < whole.size() - std::min<size_t>(whole.size(), name.ends_with(".png") ? 28 : 4);
         size += 1 + size / 40) {
      INFO(size << " of " << whole.size() << " bytes");
      CHECK_FALSE(decodes({whole.begin(), whole.begin() + static_cast<long>(size)}));
    }
  }
}

TEST_CASE("pixels over the limit are refused before they are decoded", "[image]") {
  for (const auto& name : picture_names()) {
    INFO(name);
    const auto bytes = file_bytes(kImageGolden / "pictures" / name);
    const auto expected = read_ppm(kImageGolden / "rgb" / (name + ".ppm"));
    const auto pixels = expected.width * expected.height;
    CHECK(decodes(bytes, {.max_pixels = pixels}));
    CHECK_FALSE(decodes(bytes, {.max_pixels = pixels - 1}));
  }
  // A header alone, of a picture that would need 12 GB.
  auto bomb = file_bytes(kImageGolden / "pictures/rgb.png");
  bomb[16] = bomb[20] = 0;
  bomb[17] = bomb[21] = 1;
  CHECK(decode_error(bomb) ==
        "shelf/cup.jpg: picture (PNG) is 65570 x 65559 pixels, more than the limit of 178956970 "
        "pixels");
}

TEST_CASE("files over the byte limit are refused by name", "[image]") {
  const auto bytes = file_bytes(kImageGolden / "pictures/rgb.png");
  CHECK(decode_error(bytes, {.max_file_bytes = 100}) == "shelf/cup.jpg: picture file has " +
                                                            std::to_string(bytes.size()) +
                                                            " bytes, more than the limit of 100");
}

TEST_CASE("what is not a picture is refused with the path and the reason", "[image]") {
  const std::string text = "<html>404 not found</html>";
  CHECK(
      decode_error({text.begin(), text.end()}) ==
      "shelf/cup.jpg: picture is not a picture by its first bytes; expected JPEG, PNG, WebP, BMP, "
      "GIF or TIFF");
  CHECK(decode_error({}) == "shelf/cup.jpg: picture is empty; expected a picture");
  auto cut = file_bytes(kImageGolden / "pictures/q75_420.jpg");
  cut.resize(cut.size() - 40);
  CHECK(decode_error(cut) == "shelf/cup.jpg: picture (JPEG) is cut short");
  CHECK_THROWS_AS(finer::decode_image("/dev/zero"), DataError);
  CHECK_THROWS_AS(finer::decode_image(kImageGolden), DataError);
  CHECK_THROWS_WITH(finer::decode_image(kImageGolden / "no_such.png"),
                    Catch::Contains("no_such.png: cannot open the picture: No such file"));
}

TEST_CASE("the kind is told from the first bytes and not from the name", "[image]") {
  const TemporaryFolder folder;
  const auto bytes = file_bytes(kImageGolden / "pictures/lossless.webp");
  const auto path = folder.write("a.jpg", std::string(bytes.begin(), bytes.end()));
  CHECK(finer::decode_image(path).width == finer::read_image_size(path).width);
}

TEST_CASE("broken bytes give a picture or a DataError and nothing else", "[image]") {
  finer::Rng rng(1);
  const finer::DecodeLimits limits{.max_pixels = 1 << 20};
  int refused = 0, taken = 0;
  for (const auto& name : picture_names()) {
    INFO(name);
    const auto whole = file_bytes(kImageGolden / "pictures" / name);
    for (int round = 0; round < 150; ++round) {
      auto bytes = whole;
      for (uint64_t i = 0; i < 1 + rng.below(6); ++i) {
        // Half of the hits go to the header, where the numbers are.
        const auto reach = rng.below(2) ? bytes.size() : std::min<size_t>(bytes.size(), 80);
        bytes[rng.below(reach)] = static_cast<uint8_t>(rng.next());
      }
      ++(decodes(bytes, limits) ? taken : refused);
    }
  }
  CHECK(refused > 1000);
  CHECK(taken > 1000);
}
