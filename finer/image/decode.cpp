#include "finer/image/decode.h"

#include "finer/core/error.h"
#include "finer/image/formats.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

namespace finer {
namespace {

using ImageReader = Image (*)(std::span<const uint8_t>, const ReadRequest&);

struct ImageFormat {
  const char* name;
  ImageReader read;
};

bool starts_with(std::span<const uint8_t> bytes, size_t at, std::string_view magic) {
  return bytes.size() >= at + magic.size() &&
         std::memcmp(bytes.data() + at, magic.data(), magic.size()) == 0;
}

ImageFormat image_format(std::span<const uint8_t> bytes) {
  using std::string_view_literals::operator""sv;
  if (starts_with(bytes, 0, "\xFF\xD8\xFF"sv)) return {"JPEG", read_jpeg};
  if (starts_with(bytes, 0, "\x89PNG\r\n\x1A\n"sv)) return {"PNG", read_png};
  if (starts_with(bytes, 0, "RIFF"sv) && starts_with(bytes, 8, "WEBP"sv)) {
    return {"WebP", read_webp};
  }
  if (starts_with(bytes, 0, "GIF87a"sv) || starts_with(bytes, 0, "GIF89a"sv)) {
    return {"GIF", read_gif};
  }
  if (starts_with(bytes, 0, "BM"sv)) return {"BMP", read_bmp};
  // Classic TIFF and BigTIFF, both byte orders.
  for (const auto magic : {"II*\0"sv, "MM\0*"sv, "II+\0"sv, "MM\0+"sv}) {
    if (starts_with(bytes, 0, magic)) return {"TIFF", read_tiff};
  }
  throw ReadFailure(bytes.empty()
                        ? "is empty; expected a picture"
                        : "is not a picture by its first bytes; expected JPEG, PNG, WebP, BMP, GIF "
                          "or TIFF");
}

Image read_picture(std::span<const uint8_t> bytes, const std::string& name,
                   const ReadRequest& request) {
  try {
    const auto format = image_format(bytes);
    try {
      return format.read(bytes, request);
    } catch (const ReadFailure& e) {
      throw ReadFailure(std::string("(") + format.name + ") " + e.what());
    }
  } catch (const ReadFailure& e) {
    throw DataError(name + ": picture " + e.what());
  } catch (const std::bad_alloc&) {
    throw DataError(name + ": picture needs more memory than there is");
  }
}

// Only regular files: a pipe or a device could feed bytes for ever.
class PictureFile {
 public:
  explicit PictureFile(const std::filesystem::path& path) : name_(path.string()) {
    fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd_ < 0) throw DataError(name_ + ": cannot open the picture: " + std::strerror(errno));
    struct stat info {};
    if (::fstat(fd_, &info) != 0 || !S_ISREG(info.st_mode)) {
      ::close(fd_);
      throw DataError(name_ + ": picture is not a regular file");
    }
    size_ = info.st_size;
  }
  ~PictureFile() { ::close(fd_); }
  PictureFile(const PictureFile&) = delete;
  PictureFile& operator=(const PictureFile&) = delete;

  int64_t size() const { return size_; }

  /// The first `count` bytes; fewer where the file has shrunk meanwhile.
  std::vector<uint8_t> first_bytes(int64_t count) const {
    std::vector<uint8_t> bytes(static_cast<size_t>(count));
    size_t have = 0;
    while (have < bytes.size()) {
      const auto got =
          ::pread(fd_, bytes.data() + have, bytes.size() - have, static_cast<off_t>(have));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) throw DataError(name_ + ": cannot read the picture: " + std::strerror(errno));
      if (got == 0) break;
      have += static_cast<size_t>(got);
    }
    bytes.resize(have);
    return bytes;
  }

 private:
  std::string name_;
  int fd_ = -1;
  int64_t size_ = 0;
};

void check_file_size(int64_t size_bytes, const std::string& name, const DecodeLimits& limits) {
  if (size_bytes > limits.max_file_bytes) {
    throw DataError(name + ": picture file has " + std::to_string(size_bytes) +
                    " bytes, more than the limit of " + std::to_string(limits.max_file_bytes));
  }
}

}  // namespace

Image blank_image(int64_t width, int64_t height, const ReadRequest& request) {
  const auto sides = std::to_string(width) + " x " + std::to_string(height) + " pixels";
  if (width <= 0 || height <= 0) throw ReadFailure("is " + sides + "; expected at least 1 x 1");
  if (width > request.max_pixels / height) {
    throw ReadFailure("is " + sides + ", more than the limit of " +
                      std::to_string(request.max_pixels) + " pixels");
  }
  Image image{width, height, {}};
  if (!request.size_only) image.rgb.resize(static_cast<size_t>(width * height * 3));
  return image;
}

void cmyk_to_rgb(const uint8_t cmyk[4], uint8_t* rgb) {
  const int light = 255 - cmyk[3];
  for (int c = 0; c < 3; ++c) {
    const int product = cmyk[c] * light + 128;
    rgb[c] = static_cast<uint8_t>(light - ((product + (product >> 8)) >> 8));  // product / 255
  }
}

Palette::Palette() {
  for (int i = 0; i < 256 * 3; ++i) rgb_[i] = static_cast<uint8_t>(i / 3);
}

void Palette::blacken() {
  is_ramp_ = false;
  std::memset(rgb_, 0, sizeof rgb_);
}

void Palette::set(int64_t index, uint8_t red, uint8_t green, uint8_t blue) {
  if (index < 0 || index > 255) return;
  const bool is_on_ramp = red == index && green == index && blue == index;
  if (is_ramp_ && !is_on_ramp) {
    is_ramp_ = false;
    std::memset(rgb_ + index * 3, 0, static_cast<size_t>((256 - index) * 3));
  }
  rgb_[index * 3] = red;
  rgb_[index * 3 + 1] = green;
  rgb_[index * 3 + 2] = blue;
}

void Palette::look_up(const uint8_t* indices, int64_t count, uint8_t* rgb) const {
  for (int64_t i = 0; i < count; ++i) std::memcpy(rgb + i * 3, rgb_ + indices[i] * 3, 3);
}

Image decode_image_bytes(std::span<const uint8_t> bytes, const std::string& name,
                         const DecodeLimits& limits) {
  check_file_size(static_cast<int64_t>(bytes.size()), name, limits);
  return read_picture(bytes, name, {.max_pixels = limits.max_pixels});
}

Image decode_image(const std::filesystem::path& path, const DecodeLimits& limits) {
  const PictureFile file(path);
  check_file_size(file.size(), path.string(), limits);
  return decode_image_bytes(file.first_bytes(file.size()), path.string(), limits);
}

ImageSize read_image_size(const std::filesystem::path& path) {
  const DecodeLimits limits;
  const ReadRequest request{.max_pixels = limits.max_pixels, .size_only = true};
  const PictureFile file(path);
  check_file_size(file.size(), path.string(), limits);
  // Nearly always the header is in the first bytes; a TIFF's directory, or what follows a large
  // colour profile or preview in a JPEG, may be anywhere.
  constexpr int64_t kUsualHeaderBytes = 64 * 1024;
  if (file.size() > kUsualHeaderBytes) {
    try {
      const auto image = read_picture(file.first_bytes(kUsualHeaderBytes), path.string(), request);
      return {image.width, image.height};
    } catch (const DataError&) {
      // Said again, with the true reason, by the reading of the whole file.
    }
  }
  const auto image = read_picture(file.first_bytes(file.size()), path.string(), request);
  return {image.width, image.height};
}

}  // namespace finer
