#include "finer/train/tensorboard.h"

#include "finer/core/atomic_file.h"
#include "finer/core/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

namespace finer {
namespace {

constexpr std::string_view kEventsPrefix = "events.out.tfevents.";

std::array<uint32_t, 256> crc32c_table() {
  std::array<uint32_t, 256> table = {};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0x82f63b78u : 0u);
    table[byte] = value;
  }
  return table;
}

void put_little_endian(std::string& out, uint64_t value, int num_bytes) {
  for (int i = 0; i < num_bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
}

// Protobuf's wire format: a field is its number and kind, then a varint, 4 or 8 bytes, or a counted
// string.
enum WireKind { kVarint = 0, kFixed64 = 1, kCounted = 2, kFixed32 = 5 };

void proto_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

void proto_key(std::string& out, int field, WireKind kind) {
  proto_varint(out, static_cast<uint64_t>(field) << 3 | static_cast<uint64_t>(kind));
}

void proto_counted(std::string& out, int field, std::string_view bytes) {
  proto_key(out, field, kCounted);
  proto_varint(out, bytes.size());
  out += bytes;
}

void proto_int(std::string& out, int field, int64_t value) {
  proto_key(out, field, kVarint);
  proto_varint(out, static_cast<uint64_t>(value));
}

void proto_double(std::string& out, int field, double value) {
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof(bits));
  proto_key(out, field, kFixed64);
  put_little_endian(out, bits, 8);
}

void proto_float(std::string& out, int field, float value) {
  uint32_t bits = 0;
  memcpy(&bits, &value, sizeof(bits));
  proto_key(out, field, kFixed32);
  put_little_endian(out, bits, 4);
}

double wall_time_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// Event: wall_time = 1, step = 2, file_version = 3, summary = 5, session_log = 7.
std::string event_at(int64_t step) {
  std::string event;
  proto_double(event, 1, wall_time_s());
  if (step != 0) proto_int(event, 2, step);
  return event;
}

// Summary: value = 1; Value: tag = 1, simple_value = 2.
void add_scalar(std::string& summary, std::string_view tag, double number) {
  std::string value;
  proto_counted(value, 1, tag);
  proto_float(value, 2, static_cast<float>(number));
  proto_counted(summary, 1, value);
}

std::string events_host() {
  char name[256] = {};
  if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0') return "host";
  std::string host = name;
  std::replace_if(
      host.begin(), host.end(), [](unsigned char c) { return c <= ' ' || c == '/' || c > '~'; },
      '-');
  return host;
}

// Later than every events file in the folder: TensorBoard orders them by name, and a run that is
// resumed within the second, or after the clock went back, must not come first.
int64_t free_events_second(const std::filesystem::path& run_dir) {
  auto second = static_cast<int64_t>(wall_time_s());
  std::error_code
      ignored;  // a folder that cannot be read fails with its reason when the file is opened
  for (const auto& entry : std::filesystem::directory_iterator(run_dir, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind(kEventsPrefix, 0) != 0) continue;
    constexpr int64_t kMostSeconds = 9'999'999'998;  // the name has ten digits
    int64_t other = 0;
    std::from_chars(name.data() + kEventsPrefix.size(), name.data() + name.size(), other);
    if (other <= kMostSeconds) second = std::max(second, other + 1);
  }
  return second;
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static const std::array<uint32_t, 256> kTable = crc32c_table();
  uint32_t value = 0xffffffffu;
  for (const char c : bytes)
    value = (value >> 8) ^ kTable[(value ^ static_cast<unsigned char>(c)) & 0xff];
  return value ^ 0xffffffffu;
}

uint32_t masked_crc32c(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

EventsFile::EventsFile(const std::filesystem::path& run_dir, int64_t first_step) {
  std::string second = std::to_string(free_events_second(run_dir));
  second.insert(0, second.size() < 10 ? 10 - second.size() : 0, '0');
  path_ = run_dir / (std::string(kEventsPrefix) + second + "." + events_host() + "." +
                     std::to_string(getpid()));
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
  if (fd_ < 0) throw Error(path_.string() + ": cannot be written: " + strerror(errno));

  std::string version = event_at(0);
  proto_counted(version, 3, "brain.Event:2");
  write_record(version);
  if (first_step > 1) {
    std::string start = event_at(first_step);
    std::string session;
    proto_int(session, 1, 1);  // SessionLog: status = 1, START = 1
    proto_counted(start, 7, session);
    write_record(start);
  }
}

EventsFile::~EventsFile() {
  if (fd_ >= 0) ::close(fd_);
}

void EventsFile::write(const StepMetrics& metrics) {
  std::string summary;
  add_scalar(summary, "loss", metrics.loss);
  add_scalar(summary, "lr", metrics.lr);
  add_scalar(summary, "grad_norm", metrics.grad_norm);
  add_scalar(summary, "tokens_per_s", metrics.tokens_per_s());
  std::string event = event_at(metrics.step);
  proto_counted(event, 5, summary);
  write_record(event);
}

// TFRecord: length (8 bytes), its checksum, the bytes, their checksum; all little-endian.
void EventsFile::write_record(std::string_view event) {
  std::string record;
  put_little_endian(record, event.size(), 8);
  put_little_endian(record, masked_crc32c(record), 4);
  record += event;
  put_little_endian(record, masked_crc32c(event), 4);
  try {
    write_all(fd_, record.data(), record.size());
  } catch (const Error& error) {
    throw Error(path_.string() + ": " + error.what());
  }
}

}  // namespace finer
