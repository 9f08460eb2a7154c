#include "finer/core/scalar_text.h"

#include "finer/core/rng.h"

#include <catch2/catch.hpp>

#include <bit>
#include <cmath>
#include <limits>
#include <string>

using finer::NumberFault;

TEST_CASE("whole numbers are plain decimal digits that fit", "[core]") {
  int64_t value = 0;
  CHECK(finer::parse_whole("-12", value) == NumberFault::kNone);
  CHECK(value == -12);
  CHECK(finer::parse_whole("+7", value) == NumberFault::kNone);
  CHECK(value == 7);
  CHECK(finer::parse_whole("9223372036854775807", value) == NumberFault::kNone);
  CHECK(value == std::numeric_limits<int64_t>::max());
  CHECK(finer::parse_whole("9223372036854775808", value) == NumberFault::kOutOfRange);
  for (const char* text : {"", "-", "+", "1.0", "1e3", "0x10", "010", "1_000", " 1", "1 ", "+-1"}) {
    INFO(text);
    CHECK(finer::parse_whole(text, value) == NumberFault::kNotANumber);
  }
  uint64_t natural = 0;
  CHECK(finer::parse_whole("18446744073709551615", natural) == NumberFault::kNone);
  CHECK(natural == std::numeric_limits<uint64_t>::max());
  CHECK(finer::parse_whole("-1", natural) == NumberFault::kOutOfRange);
}

TEST_CASE("real numbers may have a point and an exponent and are finite", "[core]") {
  double value = 0;
  for (const char* text : {"2.0e-4", "2e-4", "0.0002", "+2E-04", ".0002", "00.0002"}) {
    INFO(text);
    CHECK(finer::parse_real(text, value) == NumberFault::kNone);
    CHECK(value == 2e-4);
  }
  CHECK(finer::parse_real("-5", value) == NumberFault::kNone);
  CHECK(value == -5);
  CHECK(finer::parse_real("1e999", value) == NumberFault::kOutOfRange);
  CHECK(finer::parse_real("1e-999", value) == NumberFault::kOutOfRange);
  for (const char* text : {"", ".", "-", "e5", "1e", "1e+", "nan", "inf", ".inf", "-.inf", ".nan",
                           "0x1p3", "1,5", "1.2.3", "+-1", "1f"}) {
    INFO(text);
    CHECK(finer::parse_real(text, value) == NumberFault::kNotANumber);
  }
}

TEST_CASE("a double written as text is the same double when read", "[core]") {
  CHECK(finer::real_text(2e-4) == "2.0e-04");
  CHECK(finer::real_text(1) == "1.0");
  CHECK(finer::real_text(0.1) == "0.1");
  CHECK(finer::real_text(-0.0) == "-0.0");
  CHECK(finer::real_text(1e300) == "1.0e+300");
  finer::Rng rng(7);
  for (int i = 0; i < 20000; ++i) {
    const double value = std::bit_cast<double>(rng.next());
    if (!std::isfinite(value)) continue;
    double again = 0;
    const std::string text = finer::real_text(value);
    INFO(text);
    REQUIRE(finer::parse_real(text, again) == NumberFault::kNone);
    REQUIRE(std::bit_cast<uint64_t>(again) == std::bit_cast<uint64_t>(value));
    REQUIRE(text.find('.') != std::string::npos);
  }
}

TEST_CASE("text is quoted in YAML where it could be taken for something else", "[core]") {
  CHECK(finer::yaml_text("runs/finer-7b.v2") == "runs/finer-7b.v2");
  for (const char* text : {"", "null", "True", "no", "5", "1e5", "-x", "...", "~", "a: b", "a #b",
                           "*x", "&x", "[a]", "a,b"}) {
    INFO(text);
    CHECK(finer::yaml_text(text) == "\"" + std::string(text) + "\"");
  }
  CHECK(finer::yaml_text("a\"b\\c\n\x7f") == "\"a\\\"b\\\\c\\x0a\\x7f\"");
}
