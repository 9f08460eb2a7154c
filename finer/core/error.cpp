#include "finer/core/error.h"

namespace finer {

void fail_check(const char* file, int line, const std::string& what) {
  throw std::logic_error(std::string(file) + ":" + std::to_string(line) + ": " + what);
}

}  // namespace finer
