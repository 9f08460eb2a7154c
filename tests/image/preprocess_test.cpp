#include "finer/image/preprocess.h"

#include "finer/core/error.h"
#include "finer/core/rng.h"
#include "tests/image/fixtures.h"

#include <catch2/catch.hpp>

#include <cmath>
#include <cstring>
#include <sstream>
#include <tuple>

using finer::DataError;
using finer::Image;
using finer::ImageAspect;
using finer::PreprocessConfig;
using finer::test::file_bytes;
using finer::test::kImageGolden;
using finer::test::TemporaryFolder;

namespace {

PreprocessConfig config_of_side(int64_t side) {
  PreprocessConfig config;
  config.resize_shortest_px = config.crop_height_px = config.crop_width_px = side;
  return config;
}

Image random_image(int64_t width, int64_t height, uint64_t seed) {
  finer::Rng rng(seed);
  Image image{width, height, {}};
  for (int64_t i = 0; i < width * height * 3; ++i) {
    image.rgb.push_back(static_cast<uint8_t>(rng.next() >> 20));
  }
  return image;
}

// The picture with its borders in memory: the plain way, for comparison.
Image padded_square(const Image& image, std::array<uint8_t, 3> colour) {
  const auto side = std::max(image.width, image.height);
  Image square{side, side, {}};
  for (int64_t i = 0; i < side * side; ++i)
    square.rgb.insert(square.rgb.end(), colour.begin(), colour.end());
  for (int64_t y = 0; y < image.height; ++y) {
    std::memcpy(
        square.rgb.data() + (((side - image.height) / 2 + y) * side + (side - image.width) / 2) * 3,
        image.rgb.data() + y * image.width * 3, static_cast<size_t>(image.width * 3));
  }
  return square;
}

std::string load_error(const std::string& json) {
  const TemporaryFolder folder;
  folder.write("preprocessor_config.json", json);
  try {
    PreprocessConfig::load(folder.path(), 336);
  } catch (const DataError& e) {
    const std::string text = e.what();
    return text.substr(text.find("preprocessor_config.json"));
  }
  return "";
}

PreprocessConfig loaded(const std::string& json) {
  const TemporaryFolder folder;
  folder.write("preprocessor_config.json", json);
  return PreprocessConfig::load(folder.path(), 336);
}

}  // namespace

TEST_CASE("pictures reach the encoder with the 8-bit pixels of PIL and CLIPImageProcessor",
          "[image]") {
  std::ifstream lines(kImageGolden / "resized.txt");
  std::string name, aspect, hash;
  int64_t side = 0;
  int compared = 0;
  while (lines >> name >> aspect >> side >> hash) {
    INFO(name << " " << aspect << " " << side);
    const auto image = finer::decode_image(kImageGolden / "pictures" / name);
    const auto pixels =
        finer::resize_for_encoder(image, config_of_side(side), finer::image_aspect(aspect));
    REQUIRE(pixels.width == side);
    REQUIRE(pixels.height == side);
    const auto got =
        finer::hash_bytes({reinterpret_cast<const char*>(pixels.rgb.data()), pixels.rgb.size()});
    CHECK(got == std::stoull(hash, nullptr, 16));
    ++compared;
  }
  CHECK(compared > 160);
}

TEST_CASE("normalised values equal transformers' within 1e-6", "[image]") {
  for (const std::string name : {"q95_444.jpg", "long.png"}) {
    for (const std::string aspect : {"pad", "crop"}) {
      INFO(name << " " << aspect);
      const auto bytes = file_bytes(kImageGolden / "pixels" / (name + "." + aspect + ".48.f32"));
      std::vector<float> expected(bytes.size() / 4);
      std::memcpy(expected.data(), bytes.data(), bytes.size());
      const auto got = finer::preprocess(finer::decode_image(kImageGolden / "pictures" / name),
                                         config_of_side(48), finer::image_aspect(aspect));
      REQUIRE(got.size() == expected.size());
      float largest = 0;
      for (size_t i = 0; i < got.size(); ++i)
        largest = std::max(largest, std::fabs(got[i] - expected[i]));
      CHECK(largest <= 1e-6f);
    }
  }
}

TEST_CASE("a border that is only counted equals a border in memory", "[image]") {
  const std::array<uint8_t, 3> mean = {122, 116, 104};
  for (const auto& [width, height] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {1, 200}, {200, 1}, {37, 90}, {90, 37}, {500, 333}, {8, 9}, {2, 1001}}) {
    INFO(width << " x " << height);
    const auto image = random_image(width, height, static_cast<uint64_t>(width * 1000 + height));
    const auto square = padded_square(image, mean);
    const auto expected = finer::resize_bicubic_pil(square, 56, 56);
    CHECK(finer::resize_for_encoder(image, config_of_side(56), ImageAspect::kPad).rgb ==
          expected.rgb);
  }
}

TEST_CASE("a cropped window equals the same part of the whole resized picture", "[image]") {
  const auto image = random_image(61, 20, 7);
  const auto whole = finer::resize_bicubic_pil(image, 97, 32);  // int(32 * 61 / 20) == 97
  const auto window = finer::resize_for_encoder(image, config_of_side(32), ImageAspect::kCrop);
  REQUIRE(window.width == 32);
  for (int64_t y = 0; y < 32; ++y) {
    const auto* row = whole.rgb.data() + (y * 97 + (97 - 32) / 2) * 3;
    CHECK(std::equal(row, row + 96, window.rgb.data() + y * 96));
  }
}

TEST_CASE("a resize to the same size changes nothing", "[image]") {
  const auto image = random_image(45, 31, 3);
  CHECK(finer::resize_bicubic_pil(image, 45, 31).rgb == image.rgb);
}

TEST_CASE("a crop larger than the picture leaves black around it, the odd pixel first", "[image]") {
  const auto image = random_image(5, 4, 11);
  auto config = config_of_side(8);
  config.do_resize = false;
  const auto result = finer::resize_for_encoder(image, config, ImageAspect::kCrop);
  REQUIRE(result.width == 8);
  REQUIRE(result.height == 8);
  for (int64_t y = 0; y < 8; ++y) {
    for (int64_t x = 0; x < 8; ++x) {
      const bool is_inside = x >= 2 && x < 7 && y >= 2 && y < 6;
      for (int64_t c = 0; c < 3; ++c) {
        CHECK(result.rgb[(y * 8 + x) * 3 + c] ==
              (is_inside ? image.rgb[((y - 2) * 5 + x - 2) * 3 + c] : 0));
      }
    }
  }
}

TEST_CASE("a very long picture needs no more than its own memory", "[image]") {
  // In full: a square of 9e12 pixels, or 336 x 1008000000.
  for (const bool is_wide : {true, false}) {
    const auto image = random_image(is_wide ? 3'000'000 : 1, is_wide ? 1 : 3'000'000, 5);
    for (const auto aspect : {ImageAspect::kPad, ImageAspect::kCrop}) {
      const auto result = finer::resize_for_encoder(image, PreprocessConfig{}, aspect);
      CHECK(result.width == 336);
      CHECK(result.height == 336);
    }
  }
}

TEST_CASE("a config that crops nothing is refused for pictures that would grow without end",
          "[image]") {
  auto config = config_of_side(336);
  config.do_center_crop = false;
  CHECK_THROWS_WITH(finer::preprocess(random_image(1, 2000, 1), config, ImageAspect::kCrop),
                    Catch::Contains("1 x 2000 pixels becomes 336 x 672000"));
  CHECK(finer::preprocess(random_image(20, 40, 1), config, ImageAspect::kCrop).size() ==
        3 * 336 * 672);
}

TEST_CASE("every form of preprocessor_config.json is read", "[image]") {
  const auto old =
      loaded(R"({"size": 224, "crop_size": 224, "resample": 3, "image_mean": [0.1, 0.2, 0.3],
                              "image_std": 0.5, "do_normalize": true, "feature_extractor_type": "x"})");
  CHECK(old.resize_shortest_px == 224);
  CHECK(old.crop_height_px == 224);
  CHECK(old.crop_width_px == 224);
  CHECK(old.mean == std::array<double, 3>{0.1, 0.2, 0.3});
  CHECK(old.std == std::array<double, 3>{0.5, 0.5, 0.5});

  const auto edge =
      loaded(R"({"size": {"shortest_edge": 112}, "crop_size": {"height": 98, "width": 84},
                               "do_rescale": false, "do_center_crop": null})");
  CHECK(edge.resize_shortest_px == 112);
  CHECK(edge.crop_height_px == 98);
  CHECK(edge.crop_width_px == 84);
  CHECK_FALSE(edge.do_rescale);
  CHECK(edge.do_center_crop);

  const auto sides = loaded(R"({"size": {"height": 200, "width": 300}, "rescale_factor": 0.5})");
  CHECK(sides.resize_shortest_px == 0);
  CHECK(sides.resize_height_px == 200);
  CHECK(sides.resize_width_px == 300);
  CHECK(sides.crop_width_px == 336);
  CHECK(sides.rescale_factor == 0.5);
}

TEST_CASE("transformers 5 keeps the settings in processor_config.json", "[image]") {
  const TemporaryFolder folder;
  CHECK(PreprocessConfig::load(folder.path(), 112).crop_height_px == 112);
  folder.write("processor_config.json", R"({"patch_size": 14})");
  CHECK(PreprocessConfig::load(folder.path(), 112).resize_shortest_px == 112);
  folder.write("processor_config.json", R"({"image_processor": {"size": {"shortest_edge": 224}}})");
  CHECK(PreprocessConfig::load(folder.path(), 112).resize_shortest_px == 224);
}

TEST_CASE("settings that make no sense are refused with file, key and value", "[image]") {
  CHECK(load_error("{") == "preprocessor_config.json: is not JSON: error at byte 2");
  CHECK(load_error("[]") == "preprocessor_config.json: is not a JSON object");
  CHECK(load_error(R"({"size": -1})") ==
        "preprocessor_config.json: size is -1; expected a whole number from 1 to 8192");
  CHECK(load_error(R"({"crop_size": {"height": 1e9, "width": 3}})") ==
        "preprocessor_config.json: crop_size.height is 1000000000.0; expected a whole number from "
        "1 to 8192");
  CHECK(load_error(R"({"size": {"longest_edge": 3}})") ==
        "preprocessor_config.json: size is {\"longest_edge\":3}; expected a number, "
        "{\"shortest_edge\"} or "
        "{\"height\", \"width\"}");
  CHECK(load_error(R"({"size": 18446744073709551615})") != "");
  CHECK(load_error(R"({"image_std": [0.5, 0.5, 0]})") ==
        "preprocessor_config.json: image_std[2] is 0; expected a number from 1e-06 to 1e+06");
  CHECK(load_error(R"({"image_mean": [0.5, 0.5]})") ==
        "preprocessor_config.json: image_mean is [0.5,0.5]; expected three numbers");
  CHECK(load_error(R"({"do_resize": "yes"})") ==
        "preprocessor_config.json: do_resize is \"yes\"; expected true or false");
  CHECK(load_error(R"({"resample": 2})") ==
        "preprocessor_config.json: resample is 2; expected 3 (bicubic), the only filter there is");
  CHECK(load_error(R"({"rescale_factor": 1e400})") != "");
  CHECK(load_error(std::string(200000, '[')) != "");
}

TEST_CASE("an unknown aspect is refused with the nearest name", "[image]") {
  CHECK(finer::image_aspect("pad") == ImageAspect::kPad);
  CHECK_THROWS_WITH(finer::image_aspect("padd"), Catch::Contains("did you mean \"pad\"?"));
}
