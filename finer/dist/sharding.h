#pragma once

#include <cstdint>

namespace finer::dist {

/// A rank's part [begin, end) of `count` things in order: parts differ by one thing at most, and
/// one rank after the other gives all of them back in order.
struct Share {
  int64_t begin = 0, end = 0;
};

Share share_of(int64_t count, int rank, int size);

}  // namespace finer::dist
