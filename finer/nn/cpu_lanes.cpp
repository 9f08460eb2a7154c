#include "finer/nn/cpu_lanes.h"

#include <ATen/Version.h>

namespace finer {

bool has_wide_lanes() {
  static const bool is_wide = [] {
#if FINER_HAS_CLONES
    if (!__builtin_cpu_supports("x86-64-v4")) return false;
#endif
    return at::get_cpu_capability() == "AVX512";
  }();
  return is_wide;
}

}  // namespace finer
