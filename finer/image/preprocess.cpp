#include "finer/image/preprocess.h"

#include "finer/core/error.h"
#include "finer/core/near_miss.h"
#include "finer/image/resample.h"

#include <algorithm>
#include <cstring>

namespace finer {
namespace {

// 256 MiB of result; only reached when the config crops nothing and the picture is very long.
constexpr int64_t kMaxEncoderPixels = int64_t{1} << 26;

// Where the crop starts in the resized picture, and where what is left of it goes in the result:
// the odd pixel goes as in transformers' center_crop.
struct CropAxis {
  int64_t from = 0, count = 0, to = 0, size = 0;
};

CropAxis crop_axis(int64_t resized_px, bool is_cropped, int64_t crop_px) {
  if (!is_cropped) return {0, resized_px, 0, resized_px};
  if (resized_px >= crop_px) return {(resized_px - crop_px) / 2, crop_px, 0, crop_px};
  return {0, resized_px, (crop_px - resized_px + 1) / 2, crop_px};
}

struct SidesPx {
  int64_t width, height;
};

// The long side is cut to a whole number after one division in double, as in transformers'
// get_resize_output_image_size.
SidesPx resized_sides(int64_t width, int64_t height, const PreprocessConfig& config) {
  if (!config.do_resize) return {width, height};
  if (config.resize_shortest_px == 0) return {config.resize_width_px, config.resize_height_px};
  const auto short_px = std::min(width, height), long_px = std::max(width, height);
  const auto new_long = static_cast<int64_t>(
      static_cast<double>(config.resize_shortest_px * long_px) / static_cast<double>(short_px));
  return width <= height ? SidesPx{config.resize_shortest_px, new_long}
                         : SidesPx{new_long, config.resize_shortest_px};
}

}  // namespace

ImageAspect image_aspect(const std::string& name) {
  if (name == "pad") return ImageAspect::kPad;
  if (name == "crop") return ImageAspect::kCrop;
  throw DataError("image aspect \"" + name + "\" is not known" +
                  did_you_mean(name, {"pad", "crop"}));
}

Image resize_bicubic_pil(const Image& image, int64_t width_px, int64_t height_px) {
  FINER_CHECK(width_px > 0 && height_px > 0, "a size above 0");
  return resample_bicubic(image, {image.width, 0, image.width, width_px, 0, width_px},
                          {image.height, 0, image.height, height_px, 0, height_px}, {0, 0, 0});
}

Image resize_for_encoder(const Image& image, const PreprocessConfig& config, ImageAspect aspect) {
  const bool is_padded = aspect == ImageAspect::kPad;
  const auto square_px = std::max(image.width, image.height);
  const auto width = is_padded ? square_px : image.width;
  const auto height = is_padded ? square_px : image.height;
  const auto resized = resized_sides(width, height, config);
  const auto crop_x = crop_axis(resized.width, config.do_center_crop, config.crop_width_px);
  const auto crop_y = crop_axis(resized.height, config.do_center_crop, config.crop_height_px);
  if (crop_x.size > kMaxEncoderPixels / crop_y.size) {
    throw DataError("a picture of " + std::to_string(image.width) + " x " +
                    std::to_string(image.height) + " pixels becomes " +
                    std::to_string(crop_x.size) + " x " + std::to_string(crop_y.size) +
                    " for the encoder, more than the limit of 64 million pixels; "
                    "expected do_center_crop or a height and width in preprocessor_config.json");
  }

  std::array<uint8_t, 3> border;
  for (size_t c = 0; c < 3; ++c) {
    border[c] = static_cast<uint8_t>(std::clamp(config.mean[c] * 255.0, 0.0, 255.0));
  }
  auto window = resample_bicubic(image,
                                 {.picture_px = image.width,
                                  .border_px = (width - image.width) / 2,
                                  .bordered_px = width,
                                  .resized_px = resized.width,
                                  .window_first = crop_x.from,
                                  .window_px = crop_x.count},
                                 {.picture_px = image.height,
                                  .border_px = (height - image.height) / 2,
                                  .bordered_px = height,
                                  .resized_px = resized.height,
                                  .window_first = crop_y.from,
                                  .window_px = crop_y.count},
                                 border);
  if (crop_x.count == crop_x.size && crop_y.count == crop_y.size) return window;

  Image result{crop_x.size, crop_y.size, {}};  // black where the picture does not reach
  result.rgb.resize(static_cast<size_t>(result.width * result.height * 3));
  for (int64_t y = 0; y < window.height; ++y) {
    std::memcpy(result.rgb.data() + ((crop_y.to + y) * result.width + crop_x.to) * 3,
                window.rgb.data() + y * window.width * 3, static_cast<size_t>(window.width * 3));
  }
  return result;
}

std::vector<float> preprocess(const Image& image, const PreprocessConfig& config,
                              ImageAspect aspect) {
  const auto pixels = resize_for_encoder(image, config, aspect);
  const auto count = pixels.width * pixels.height;
  std::vector<float> planes(static_cast<size_t>(count * 3));
  for (size_t c = 0; c < 3; ++c) {
    // transformers rescales in double, rounds to float, then normalises in float.
    float value_of[256];
    for (int level = 0; level < 256; ++level) {
      auto value = static_cast<float>(config.do_rescale ? level * config.rescale_factor : level);
      if (config.do_normalize) {
        value = (value - static_cast<float>(config.mean[c])) / static_cast<float>(config.std[c]);
      }
      value_of[level] = value;
    }
    const auto* level = pixels.rgb.data() + c;
    auto* plane = planes.data() + static_cast<int64_t>(c) * count;
    for (int64_t i = 0; i < count; ++i) plane[i] = value_of[level[i * 3]];
  }
  return planes;
}

}  // namespace finer
