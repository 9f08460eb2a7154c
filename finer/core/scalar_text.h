#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace finer {

/// How numbers and text stand in YAML: strict on the way in, shortest exact form on the way out.
/// Independent of the locale.

enum class NumberFault { kNone, kNotANumber, kOutOfRange };

/// Decimal digits with an optional sign: no leading zeros, no hex, no point.
NumberFault parse_whole(std::string_view text, int64_t& value);
NumberFault parse_whole(std::string_view text, uint64_t& value);

/// Decimal number with optional point and exponent; "inf" and "nan" are no numbers, 1e999 is out of
/// range.
NumberFault parse_real(std::string_view text, double& value);

/// "true", "false" or a number: text that a YAML reader would not take for text.
bool reads_as_bool_or_number(std::string_view text);

/// Shortest decimal that parses back to the same double, always with a point ("1.0", "2.0e-05"),
/// so that readers of YAML 1.1 take it for a number too.
std::string real_text(double value);

/// A bound as a message shows it: "1", "0.5", "1048576".
std::string bound_text(double value);

/// Text as a YAML scalar: bare where that is unmistakable, else in double quotes.
std::string yaml_text(const std::string& text);

}  // namespace finer
