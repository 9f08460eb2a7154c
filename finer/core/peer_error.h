#pragma once

#include "finer/core/error.h"

#include <string>

namespace finer {

/// Another rank was lost or stuck: nobody's input is at fault (exit code 1).
class PeerError : public Error {
  using Error::Error;
};

/// Another rank has told why the job ends: nothing more is printed.
class ReportedError : public Error {
 public:
  ReportedError(int code, const std::string& what) : Error(what), exit_code(code) {}
  int exit_code;
};

}  // namespace finer
