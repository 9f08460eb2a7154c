#include "finer/image/formats.h"

#include <webp/decode.h>
#include <webp/demux.h>

#include <cstring>
#include <memory>

namespace finer {
namespace {

struct DeleteAnimation {
  void operator()(WebPAnimDecoder* decoder) const { WebPAnimDecoderDelete(decoder); }
};

void read_first_frame(std::span<const uint8_t> bytes, Image& image) {
  WebPAnimDecoderOptions options;
  WebPAnimDecoderOptionsInit(&options);
  options.color_mode = MODE_RGBA;
  const WebPData data{bytes.data(), bytes.size()};
  const std::unique_ptr<WebPAnimDecoder, DeleteAnimation> decoder(
      WebPAnimDecoderNew(&data, &options));
  WebPAnimInfo info{};
  uint8_t* rgba = nullptr;
  int timestamp = 0;
  if (!decoder || !WebPAnimDecoderGetInfo(decoder.get(), &info) ||
      info.canvas_width != image.width || info.canvas_height != image.height ||
      !WebPAnimDecoderGetNext(decoder.get(), &rgba, &timestamp)) {
    throw ReadFailure("is broken or cut short: its first frame does not decode");
  }
  for (int64_t i = 0; i < image.width * image.height; ++i) {
    std::memcpy(image.rgb.data() + i * 3, rgba + i * 4, 3);
  }
}

}  // namespace

Image read_webp(std::span<const uint8_t> bytes, const ReadRequest& request) {
  WebPBitstreamFeatures features{};
  const auto status = WebPGetFeatures(bytes.data(), bytes.size(), &features);
  if (status == VP8_STATUS_NOT_ENOUGH_DATA) throw ReadFailure("is cut short");
  if (status != VP8_STATUS_OK) throw ReadFailure("is broken: no valid header");
  auto image = blank_image(features.width, features.height, request);
  if (request.size_only) return image;

  // The container says how long it is; libwebp itself would not miss a trailing part.
  const uint64_t declared = 8 + (uint64_t{bytes[4]} | uint64_t{bytes[5]} << 8 |
                                 uint64_t{bytes[6]} << 16 | uint64_t{bytes[7]} << 24);
  if (declared > bytes.size()) throw ReadFailure("is cut short");
  if (features.has_animation) {
    read_first_frame(bytes, image);
  } else if (WebPDecodeRGBInto(bytes.data(), bytes.size(), image.rgb.data(), image.rgb.size(),
                               static_cast<int>(image.width * 3)) == nullptr) {
    throw ReadFailure("is broken or cut short: its pixels do not decode");
  }
  return image;
}

}  // namespace finer
