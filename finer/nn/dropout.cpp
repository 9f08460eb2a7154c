#include "finer/nn/dropout.h"

#include "finer/core/rng.h"
#include "finer/nn/cpu_rows.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/ones.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace finer {

namespace {

// What an element is decided by: 24 bits of a hash of its place and a key of 64 bits. The rounds
// are those of C. Wellons' "lowbias32", with the second half of the key between them.
__attribute__((always_inline)) inline uint32_t draw_24(uint32_t place, uint32_t low,
                                                       uint32_t high) {
  uint32_t h = place ^ low;
  h ^= h >> 16;
  h *= 0x7feb352dU;
  h ^= h >> 15;
  h += high;
  h *= 0x846ca68bU;
  h ^= h >> 16;
  return h >> 8;
}

FINER_CPU_ROWS void drop_rows(const float* x, float* out, int64_t begin, int64_t end, int64_t D,
                              uint64_t key, int32_t kept_below, float scale) {
  for (int64_t t = begin; t < end; ++t) {
    const float* row = x + t * D;
    float* y = out + t * D;
    // a key for each row: places are counted in 32 bits
    const uint64_t of_row = (key + static_cast<uint64_t>(t)) * 0x9e3779b97f4a7c15ULL;
    const auto low = static_cast<uint32_t>(of_row), high = static_cast<uint32_t>(of_row >> 32);
    for (int64_t d = 0; d < D; ++d) {
      const auto drawn = static_cast<int32_t>(draw_24(static_cast<uint32_t>(d), low, high));
      y[d] = row[d] * (drawn < kept_below ? scale : 0.0F);
    }
  }
}

at::Tensor drop_on_cpu(const at::Tensor& x, double rate, uint64_t key) {
  auto out = at::empty({x.size(0), x.size(1)}, x.options());
  const float* in = x.const_data_ptr<float>();
  float* data = out.data_ptr<float>();
  const int64_t D = x.size(1);
  const auto kept_below = static_cast<int32_t>(std::lround((1.0 - rate) * (1 << 24)));
  const auto scale = static_cast<float>(1.0 / (1.0 - rate));
  at::parallel_for(0, x.size(0), rows_a_task(D), [&](int64_t begin, int64_t end) {
    drop_rows(in, data, begin, end, D, key, kept_below, scale);
  });
  return out;
}

}  // namespace

at::Tensor drop(const at::Tensor& x, double rate, uint64_t seed, const std::string& id) {
  const uint64_t key = mix_seed(seed, hash_bytes(id));
  if (!x.is_cpu()) {
    auto generator = at::globalContext().defaultGenerator(x.device()).clone();
    generator.set_current_seed(key);
    return at::empty_like(x).bernoulli_(1.0 - rate, generator).mul_(1.0 / (1.0 - rate)).mul_(x);
  }
  if (x.scalar_type() == at::kFloat) return drop_on_cpu(x.contiguous(), rate, key);
  return drop_on_cpu(at::ones({x.size(0), x.size(1)}, at::kFloat), rate, key)
      .to(x.scalar_type())
      .mul_(x);
}

}  // namespace finer
