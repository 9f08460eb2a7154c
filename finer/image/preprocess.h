#pragma once

#include "finer/image/decode.h"

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace finer {

/// kPad: pad to a square with the mean colour, then resize. kCrop: resize the short side, centre
/// crop.
enum class ImageAspect { kPad, kCrop };

ImageAspect image_aspect(
    const std::string& name);  // "pad" | "crop"; throws DataError with the nearest

/// What `preprocessor_config.json` of a CLIP or LLaVA model says. Defaults are CLIP-ViT-L/14-336.
struct PreprocessConfig {
  int64_t resize_shortest_px = 336;  // size.shortest_edge; 0 where size gives height and width
  int64_t resize_height_px = 0;
  int64_t resize_width_px = 0;
  int64_t crop_height_px = 336;
  int64_t crop_width_px = 336;
  bool do_resize = true;
  bool do_center_crop = true;
  bool do_rescale = true;
  bool do_normalize = true;
  double rescale_factor = 1.0 / 255.0;
  std::array<double, 3> mean = {0.48145466, 0.4578275, 0.40821073};
  std::array<double, 3> std = {0.26862954, 0.26130258, 0.27577711};

  /// Reads a model directory's preprocessor_config.json (or processor_config.json of transformers
  /// 5). Where there is none, the defaults with side `fallback_side_px`. Throws: DataError naming
  /// the file and key.
  static PreprocessConfig load(const std::filesystem::path& model_dir, int64_t fallback_side_px);
};

/// 8-bit picture as CLIPImageProcessor has it before rescaling: padded, resized (PIL's bicubic, to
/// the bit), cropped.
Image resize_for_encoder(const Image& image, const PreprocessConfig& config, ImageAspect aspect);

/// What the encoder sees: [3, H, W] float32, planar, normalised.
std::vector<float> preprocess(const Image& image, const PreprocessConfig& config,
                              ImageAspect aspect);

/// `Image.resize((width, height), BICUBIC)` of Pillow 13 on 8-bit RGB, equal to the bit.
///
/// Pillow 12 and older differ where the height loses more than twice the pixels that the width does
/// (a tall picture that is cropped, never a padded one): see resample.cpp. Source: Pillow's
/// Resample.c as a description: separable, support scaled by the reduction, coefficients in double
/// normalised then rounded to 22 fraction bits, each pass rounded and clipped.
Image resize_bicubic_pil(const Image& image, int64_t width_px, int64_t height_px);

}  // namespace finer
