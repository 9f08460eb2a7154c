#pragma once

#include <stdexcept>
#include <string>

namespace finer {

/// A mistake in what the user gave: caught only in tools/, which print its one line and exit
/// with 2.
///
/// The message says where, what was found, what was expected, and the nearest fix.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A recipe key, type, range or combination.
class RecipeError : public Error {
  using Error::Error;
};
/// A training or evaluation sample, a picture, a tokenizer file.
class DataError : public Error {
  using Error::Error;
};
/// Weights, adapters and checkpoints.
class CheckpointError : public Error {
  using Error::Error;
};
/// A model or adapter description that contradicts itself.
class ConfigError : public Error {
  using Error::Error;
};

/// Throws std::logic_error: a mistake in our own code (exit code 1). No user input may reach one.
[[noreturn]] void fail_check(const char* file, int line, const std::string& what);

}  // namespace finer

/// FINER_CHECK(condition, "what was expected, as a string expression")
#define FINER_CHECK(condition, what) \
  ((condition) ? void() : ::finer::fail_check(__FILE__, __LINE__, (what)))
