#pragma once

#include "finer/image/decode.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace finer::test {

inline const std::filesystem::path kImageGolden =
    std::filesystem::path(FINER_SOURCE_DIR) / "tests/golden/image";

inline std::vector<uint8_t> file_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::vector<std::string> picture_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kImageGolden / "pictures")) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// A PPM as PIL writes it: "P6\nWIDTH HEIGHT\n255\n", then the pixels.
inline Image read_ppm(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string magic;
  int64_t top = 0;
  Image image;
  file >> magic >> image.width >> image.height >> top;
  file.get();
  image.rgb = {std::istreambuf_iterator<char>(file), {}};
  return image;
}

/// Largest difference of any value; 999 when the sides differ.
inline int max_difference(const Image& a, const Image& b) {
  if (a.width != b.width || a.height != b.height || a.rgb.size() != b.rgb.size()) return 999;
  int largest = 0;
  for (size_t i = 0; i < a.rgb.size(); ++i)
    largest = std::max(largest, std::abs(a.rgb[i] - b.rgb[i]));
  return largest;
}

/// A folder that is gone when the test ends.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "finer_image_XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  std::filesystem::path write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
    return path_ / name;
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace finer::test
