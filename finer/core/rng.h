#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace finer {

/// Mixes two 64-bit values into one: the way a seed is made from (seed, epoch), (seed, step,
/// layer), ...
uint64_t mix_seed(uint64_t a, uint64_t b);

/// 64-bit FNV-1a, the content hash used for names and caches (not for security).
uint64_t hash_bytes(std::string_view bytes, uint64_t start = 0xcbf29ce484222325ULL);

/// A hash as files and messages show it: 16 hexadecimal digits.
std::string hash_text(uint64_t hash);

/// SplitMix64: a small generator whose whole state is one number, equal on every machine.
///
/// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014).
class Rng {
 public:
  explicit Rng(uint64_t seed) : state_(seed) {}
  uint64_t next();
  /// Uniform in [0, bound), without modulo bias. bound > 0.
  uint64_t below(uint64_t bound);
  /// Uniform in [0, 1).
  double uniform();

 private:
  uint64_t state_;
};

/// The numbers 0..n-1 in an order drawn from the seed (Fisher-Yates).
std::vector<int64_t> permutation(int64_t n, uint64_t seed);

}  // namespace finer
