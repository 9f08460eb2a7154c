#include "finer/train/readable.h"

#include <catch2/catch.hpp>

#include <limits>

TEST_CASE("numbers are written as people read them", "[train]") {
  CHECK(finer::readable_count(0) == "0");
  CHECK(finer::readable_count(999) == "999");
  CHECK(finer::readable_count(-1000) == "-1,000");
  CHECK(finer::readable_count(-999) == "-999");
  CHECK(finer::readable_count(7062999040) == "7,062,999,040");
  CHECK(finer::readable_short(0) == "0.0");
  CHECK(finer::readable_short(9.96) == "10");
  CHECK(finer::readable_short(812.4) == "812");
  CHECK(finer::readable_short(999.7) == "1.0k");
  CHECK(finer::readable_short(8123) == "8.1k");
  CHECK(finer::readable_short(812345) == "812k");
  CHECK(finer::readable_short(3.4e6) == "3.4M");
  CHECK(finer::readable_short(std::numeric_limits<double>::infinity()) == "inf");
  CHECK(finer::readable_bytes(1023) == "1023 B");
  CHECK(finer::readable_bytes(1024) == "1.0 KiB");
  CHECK(finer::readable_bytes(15247120384) == "14.2 GiB");
  CHECK(finer::readable_share(0) == "0%");
  CHECK(finer::readable_share(0.0043) == "0.4%");
  CHECK(finer::readable_share(0.123) == "12%");
}

TEST_CASE("durations round to the next unit and never show 60 seconds", "[train]") {
  CHECK(finer::readable_duration(0.84) == "0.8 s");
  CHECK(finer::readable_duration(9.96) == "10 s");
  CHECK(finer::readable_duration(59.7) == "1 min 0 s");
  CHECK(finer::readable_duration(4980) == "1 h 23 min");
  CHECK(finer::readable_duration(187200) == "2 d 4 h");
  CHECK(finer::readable_clock(42.4) == "0:42");
  CHECK(finer::readable_clock(59.7) == "1:00");
  CHECK(finer::readable_clock(5025) == "1:23:45");
  CHECK(finer::readable_clock(187800) == "2d 04:10:00");
  CHECK(finer::readable_clock(std::numeric_limits<double>::quiet_NaN()).size() < 20);
}
