#include "finer/dist/sharding.h"

#include "finer/core/error.h"

#include <algorithm>

namespace finer::dist {

Share share_of(int64_t count, int rank, int size) {
  FINER_CHECK(count >= 0 && size > 0 && rank >= 0 && rank < size, "a rank of the group");
  const int64_t each = count / size, rest = count % size;
  const int64_t begin = rank * each + std::min<int64_t>(rank, rest);
  return {begin, begin + each + (rank < rest ? 1 : 0)};
}

}  // namespace finer::dist
