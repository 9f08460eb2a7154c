#pragma once

#include "data/loader.h"
#include "tests/data/scratch.h"

#include <cstdint>
#include <string>
#include <vector>

namespace finer::data {

inline Tokenizer small_tokenizer() {
  return Tokenizer::load(std::string(FINER_SOURCE_DIR) + "/tests/golden/text/llama.model");
}

/// An encoder of 8 x 8 pixels with 4 positions a picture.
inline InputSpec small_spec() {
  InputSpec spec;
  spec.preprocess.resize_shortest_px = spec.preprocess.crop_height_px =
      spec.preprocess.crop_width_px = 8;
  spec.image_positions = 4;
  spec.image_side_px = 8;
  return spec;
}

/// A BMP file of one colour.
inline std::string bmp_bytes(int side_px, unsigned char grey) {
  const int row = (side_px * 3 + 3) / 4 * 4, size = 54 + row * side_px;
  std::string bytes(static_cast<size_t>(size), '\0');
  const auto put = [&](size_t at, uint32_t value) {
    for (size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<char>(value >> (8 * i));
  };
  bytes[0] = 'B';
  bytes[1] = 'M';
  put(2, static_cast<uint32_t>(size));
  put(10, 54);
  put(14, 40);
  put(18, static_cast<uint32_t>(side_px));
  put(22, static_cast<uint32_t>(side_px));
  put(26, 1 | 24U << 16);
  put(34, static_cast<uint32_t>(row * side_px));
  for (size_t i = 54; i < bytes.size(); ++i) bytes[i] = static_cast<char>(grey);
  return bytes;
}

inline std::string record_text(const std::string& id, const std::string& image,
                               const std::string& question, const std::string& answer) {
  return R"({"id": ")" + id + "\"" + (image.empty() ? "" : R"(, "image": ")" + image + "\"") +
         R"(, "conversations": [{"from": "human", "value": ")" +
         (image.empty() ? "" : "<image>\\n") + question + R"("}, {"from": "gpt", "value": ")" +
         answer + R"("}]})";
}

/// `count` samples with ids NAME0, NAME1, ...; two in three have a picture; answers differ in
/// length.
inline std::string many_records(const Scratch& scratch, const std::string& name, int count) {
  std::string lines;
  for (int i = 0; i < count; ++i) {
    const std::string image = i % 3 == 2 ? "" : "pictures/" + std::to_string(i % 5) + ".bmp";
    if (!image.empty())
      scratch.write(image, bmp_bytes(8 + i % 5, static_cast<unsigned char>(40 * (i % 5))));
    std::string answer = "It is a warbler.";
    for (int word = 0; word < i % 7; ++word) answer += " It has a red crown.";
    lines += record_text(name + std::to_string(i), image, "What bird is it?", answer) + "\n";
  }
  return lines;
}

}  // namespace finer::data
