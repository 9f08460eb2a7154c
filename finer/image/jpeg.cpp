#include <csetjmp>
#include <cstddef>
#include <cstdio>
// jpeglib.h needs <cstdio> before it.
#include "finer/image/formats.h"

#include <jerror.h>
#include <jpeglib.h>

namespace finer {
namespace {

constexpr int kMaxJpegScans =
    1000;  // real files have about ten; each costs a pass over the picture

// libjpeg leaves an error by longjmp, so between setjmp and it there are no objects with
// destructors: memory is taken outside, and the functions below hold plain values only.
struct JpegReader {
  jpeg_decompress_struct codec{};
  jpeg_error_mgr errors{};
  jpeg_source_mgr source{};
  jpeg_progress_mgr progress{};
  std::jmp_buf escape{};
  char message[JMSG_LENGTH_MAX] = "";
  bool is_starved = false;  // the bytes ran out

  explicit JpegReader(std::span<const uint8_t> bytes);
  ~JpegReader() { jpeg_destroy_decompress(&codec); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  bool read_header();
  bool read_rows(uint8_t* rgb, uint8_t* row);
  ReadFailure failure() const { return ReadFailure(message); }
};

JpegReader* jpeg_reader(j_common_ptr codec) { return static_cast<JpegReader*>(codec->client_data); }

[[noreturn]] void leave_jpeg(j_common_ptr codec, const char* reason) {
  auto* reader = jpeg_reader(codec);
  std::snprintf(reader->message, sizeof reader->message, "%s", reason);
  std::longjmp(reader->escape, 1);
}

void on_jpeg_error(j_common_ptr codec) {
  char text[JMSG_LENGTH_MAX] = "";
  codec->err->format_message(codec, text);
  char reason[JMSG_LENGTH_MAX + 32];
  std::snprintf(reason, sizeof reason, "is broken: %s", text);
  leave_jpeg(codec, reason);
}

// Warnings (a stray byte between markers, say) do not stop PIL, and so not us.
void on_jpeg_message(j_common_ptr, int) {}
void on_jpeg_output(j_common_ptr) {}
void on_jpeg_source(j_decompress_ptr) {}

boolean on_jpeg_starved(j_decompress_ptr codec) {
  jpeg_reader(reinterpret_cast<j_common_ptr>(codec))->is_starved = true;
  leave_jpeg(reinterpret_cast<j_common_ptr>(codec), "is cut short");
}

void on_jpeg_skip(j_decompress_ptr codec, long count) {
  if (count <= 0) return;
  if (static_cast<size_t>(count) > codec->src->bytes_in_buffer) on_jpeg_starved(codec);
  codec->src->next_input_byte += count;
  codec->src->bytes_in_buffer -= static_cast<size_t>(count);
}

void on_jpeg_progress(j_common_ptr codec) {
  if (reinterpret_cast<j_decompress_ptr>(codec)->input_scan_number > kMaxJpegScans) {
    leave_jpeg(codec, "has more than 1000 scans");
  }
}

JpegReader::JpegReader(std::span<const uint8_t> bytes) {
  codec.err = jpeg_std_error(&errors);
  errors.error_exit = on_jpeg_error;
  errors.emit_message = on_jpeg_message;
  errors.output_message = on_jpeg_output;
  codec.client_data = this;
  // A library of another ABI says so here by error_exit: read_header() is not reached then.
  if (setjmp(escape)) throw failure();
  jpeg_create_decompress(&codec);
  source.init_source = on_jpeg_source;
  source.fill_input_buffer = on_jpeg_starved;
  source.skip_input_data = on_jpeg_skip;
  source.resync_to_restart = jpeg_resync_to_restart;
  source.term_source = on_jpeg_source;
  source.next_input_byte = bytes.data();
  source.bytes_in_buffer = bytes.size();
  codec.src = &source;
  progress.progress_monitor = on_jpeg_progress;
  codec.progress = &progress;
}

bool JpegReader::read_header() {
  if (setjmp(escape)) return false;
  jpeg_read_header(&codec, TRUE);
  return true;
}

// The library's defaults (exact integer DCT, smooth upsampling) are PIL's.
bool JpegReader::read_rows(uint8_t* rgb, uint8_t* row) {
  if (setjmp(escape)) return false;
  const int channels = codec.num_components;
  codec.out_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
  jpeg_start_decompress(&codec);
  const size_t width = codec.output_width;
  while (codec.output_scanline < codec.output_height) {
    auto* out = rgb + codec.output_scanline * width * 3;
    JSAMPROW target = channels == 3 ? out : row;
    jpeg_read_scanlines(&codec, &target, 1);
    if (channels == 1) {
      for (size_t x = 0; x < width * 3; ++x) out[x] = row[x / 3];
    } else if (channels == 4) {
      for (size_t x = 0; x < width; ++x) {
        // Adobe stores ink inverted, and PIL takes every four-channel JPEG to be Adobe's.
        const uint8_t ink[4] = {
            static_cast<uint8_t>(255 - row[x * 4]), static_cast<uint8_t>(255 - row[x * 4 + 1]),
            static_cast<uint8_t>(255 - row[x * 4 + 2]), static_cast<uint8_t>(255 - row[x * 4 + 3])};
        cmyk_to_rgb(ink, out + x * 3);
      }
    }
  }
  // What follows the last row may be missing but not broken, as with PIL.
  if (setjmp(escape)) return is_starved;
  jpeg_finish_decompress(&codec);
  return true;
}

}  // namespace

Image read_jpeg(std::span<const uint8_t> bytes, const ReadRequest& request) {
  JpegReader reader(bytes);
  if (!reader.read_header()) throw reader.failure();
  const int channels = reader.codec.num_components;
  if (channels != 1 && channels != 3 && channels != 4) {
    throw ReadFailure("has " + std::to_string(channels) + " channels; expected 1, 3 or 4");
  }
  auto image = blank_image(reader.codec.image_width, reader.codec.image_height, request);
  if (request.size_only) return image;
  std::vector<uint8_t> row(static_cast<size_t>(image.width) * 4);
  if (!reader.read_rows(image.rgb.data(), row.data())) throw reader.failure();
  return image;
}

}  // namespace finer
