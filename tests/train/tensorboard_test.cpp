#include "finer/train/tensorboard.h"

#include "finer/core/error.h"

#include <catch2/catch.hpp>
#include <stdlib.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>

namespace {

namespace fs = std::filesystem;

struct Event {
  double wall_time = 0;
  int64_t step = 0;
  std::string file_version;
  int64_t session_status = 0;
  std::map<std::string, float> scalars;
};

// A reader of TFRecord and protobuf of its own, written from the formats and not from the writer.
class Bytes {
 public:
  explicit Bytes(std::string_view all) : rest_(all) {}
  bool empty() const { return rest_.empty(); }
  std::string_view take(size_t count) {
    REQUIRE(count <= rest_.size());
    const auto front = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return front;
  }
  template <class Number>
  Number number() {
    Number value;
    std::memcpy(&value, take(sizeof(value)).data(), sizeof(value));
    return value;
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = number<uint8_t>();
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    FAIL("a varint of more than ten bytes");
    return 0;
  }
  std::string_view counted() { return take(varint()); }

 private:
  std::string_view rest_;
};

Event decode(std::string_view record) {
  Event event;
  Bytes bytes(record);
  while (!bytes.empty()) {
    switch (bytes.varint()) {
      case 1 << 3 | 1:
        event.wall_time = bytes.number<double>();
        break;
      case 2 << 3 | 0:
        event.step = static_cast<int64_t>(bytes.varint());
        break;
      case 3 << 3 | 2:
        event.file_version = bytes.counted();
        break;
      case 5 << 3 | 2: {
        Bytes summary(bytes.counted());
        while (!summary.empty()) {
          REQUIRE(summary.varint() == (1 << 3 | 2));
          Bytes value(summary.counted());
          REQUIRE(value.varint() == (1 << 3 | 2));
          const std::string tag(value.counted());
          REQUIRE(value.varint() == (2 << 3 | 5));
          event.scalars[tag] = value.number<float>();
          CHECK(value.empty());
        }
        break;
      }
      case 7 << 3 | 2: {
        Bytes session(bytes.counted());
        REQUIRE(session.varint() == (1 << 3 | 0));
        event.session_status = static_cast<int64_t>(session.varint());
        CHECK(session.empty());
        break;
      }
      default:
        FAIL("an unexpected field");
    }
  }
  return event;
}

std::vector<Event> read_events(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  const std::string all = text.str();
  std::vector<Event> events;
  Bytes bytes(all);
  while (!bytes.empty()) {
    const auto length_bytes = bytes.take(8);
    uint64_t length = 0;
    std::memcpy(&length, length_bytes.data(), 8);
    CHECK(bytes.number<uint32_t>() == finer::masked_crc32c(length_bytes));
    const auto record = bytes.take(length);
    CHECK(bytes.number<uint32_t>() == finer::masked_crc32c(record));
    events.push_back(decode(record));
  }
  return events;
}

class EventsFolder {
 public:
  EventsFolder() {
    std::string name = (fs::temp_directory_path() / "finer_events_XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~EventsFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

finer::StepMetrics scalars_at(int64_t step) {
  finer::StepMetrics m;
  m.step = step;
  m.loss = 2.5 / static_cast<double>(step);
  m.lr = 2e-4;
  m.grad_norm = 0.75;
  m.tokens = 1000;
  m.seconds = 0.5;
  return m;
}

}  // namespace

TEST_CASE("CRC-32C agrees with the vectors of RFC 3720", "[train]") {
  std::string ascending, descending;
  for (int i = 0; i < 32; ++i) {
    ascending += static_cast<char>(i);
    descending += static_cast<char>(31 - i);
  }
  CHECK(finer::crc32c(std::string(32, '\0')) == 0x8a9136aau);
  CHECK(finer::crc32c(std::string(32, '\xff')) == 0x62a8ab43u);
  CHECK(finer::crc32c(ascending) == 0x46dd794eu);
  CHECK(finer::crc32c(descending) == 0x113fdb5cu);
  CHECK(finer::crc32c("123456789") == 0xe3069283u);
  CHECK(finer::crc32c("") == 0);
}

TEST_CASE("an events file holds its version and four scalars a step", "[train]") {
  const EventsFolder folder;
  const double before_s =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  finer::EventsFile out(folder.path(), 1);
  CHECK(out.path().filename().string().rfind("events.out.tfevents.", 0) == 0);
  CHECK(read_events(out.path()).size() == 1);  // readable while it is being written
  for (const int64_t step : {1, 2, 300}) out.write(scalars_at(step));
  const auto events = read_events(out.path());
  REQUIRE(events.size() == 4);
  CHECK(events[0].file_version == "brain.Event:2");
  CHECK(events[0].step == 0);
  CHECK(events[0].wall_time >= before_s);
  CHECK(events[0].wall_time < before_s + 60);
  CHECK(events[3].step == 300);
  CHECK(events[3].wall_time >= events[0].wall_time);
  const std::map<std::string, float> expected = {
      {"loss", 2.5f / 300}, {"lr", 2e-4f}, {"grad_norm", 0.75f}, {"tokens_per_s", 2000.f}};
  CHECK(events[3].scalars == expected);
}

TEST_CASE("a resumed run's events file tells TensorBoard from which step on to forget", "[train]") {
  const EventsFolder folder;
  fs::path first;
  {
    const finer::EventsFile out(folder.path(), 1);
    first = out.path();
  }
  const finer::EventsFile out(folder.path(), 6);
  const auto events = read_events(out.path());
  REQUIRE(events.size() == 2);
  CHECK(events[0].file_version == "brain.Event:2");
  CHECK(events[1].session_status == 1);
  CHECK(events[1].step == 6);
  CHECK(first.filename() < out.path().filename());  // also within one second
}

TEST_CASE("a loss that is not a number stays one in TensorBoard", "[train]") {
  const EventsFolder folder;
  finer::EventsFile out(folder.path(), 1);
  auto m = scalars_at(1);
  m.loss = std::numeric_limits<double>::quiet_NaN();
  out.write(m);
  CHECK(std::isnan(read_events(out.path()).at(1).scalars.at("loss")));
}

TEST_CASE("an events file that cannot be begun says where and why", "[train]") {
  const EventsFolder folder;
  CHECK_THROWS_WITH(finer::EventsFile(folder.path() / "none", 1),
                    Catch::Matchers::Contains("none/events.out.tfevents.") &&
                        Catch::Matchers::EndsWith("cannot be written: No such file or directory"));
  CHECK_THROWS_AS(finer::EventsFile(folder.path() / "none", 1), finer::Error);
}
