#include "finer/train/muon.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace finer {

namespace {

constexpr int kNewtonSchulzSteps = 5;
constexpr int64_t kBucketValues = int64_t{1} << 25;  // updates that exist at a time

// The rank that makes each update: dearest first, each to the rank that has least to do.
std::vector<int> deal(const std::vector<MuonMatrix>& matrices, size_t begin, size_t end,
                      int ranks) {
  std::vector<size_t> order(end - begin);
  std::iota(order.begin(), order.end(), begin);
  const auto cost = [&](size_t i) {
    return orthogonalize_flops(matrices[i].value.size(0), matrices[i].value.size(1));
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return cost(a) > cost(b); });
  std::vector<double> load(static_cast<size_t>(ranks), 0.0);
  std::vector<int> out(end - begin);
  for (const size_t i : order) {
    const auto least = std::min_element(load.begin(), load.end());
    *least += cost(i);
    out[i - begin] = static_cast<int>(least - load.begin());
  }
  return out;
}

}  // namespace

double orthogonalize_flops(int64_t rows, int64_t columns) {
  const auto a = static_cast<double>(std::min(rows, columns));
  const auto b = static_cast<double>(std::max(rows, columns));
  return kNewtonSchulzSteps * (4 * a * a * b + 2 * a * a * a);
}

at::Tensor orthogonalize(const at::Tensor& x_NAB) {
  const bool is_tall = x_NAB.size(1) > x_NAB.size(2);
  auto x = is_tall ? x_NAB.transpose(1, 2) : x_NAB;
  x = x.to(x.is_cuda() ? at::kBFloat16 : at::kFloat).contiguous();
  x = x / at::linalg_vector_norm(x, 2, at::IntArrayRef{1, 2}, true).clamp_min(1e-7);
  for (int k = 0; k < kNewtonSchulzSteps; ++k) {
    const auto gram = at::bmm(x, x.transpose(1, 2));
    x = at::baddbmm(x, at::baddbmm(gram, gram, gram, -4.7750, 2.0315), x, 3.4445, 1.0);
  }
  return is_tall ? x.transpose(1, 2) : x;
}

void muon_step(const std::vector<MuonMatrix>& matrices, double momentum, const UpdateShare& share) {
  for (const auto& m : matrices) m.momentum.lerp_(m.grad, 1 - momentum);
  size_t end = 0;
  for (size_t begin = 0; begin < matrices.size(); begin = end) {
    int64_t values = 0;
    for (end = begin; end < matrices.size(); ++end) {
      const int64_t more = matrices[end].value.numel();
      if (end > begin && values + more > kBucketValues) break;
      values += more;
    }
    const auto updates = at::zeros({values}, matrices[begin].value.options());
    const auto ranks = deal(matrices, begin, end, share.size);
    std::vector<at::Tensor> slots;
    std::map<std::pair<int64_t, int64_t>, std::vector<size_t>> own;  // by shape: one batch each
    for (size_t i = begin, at = 0; i < end; ++i) {
      const auto& value = matrices[i].value;
      slots.push_back(updates.narrow(0, static_cast<int64_t>(at), value.numel()).view_as(value));
      at += static_cast<size_t>(value.numel());
      if (ranks[i - begin] == share.rank) own[{value.size(0), value.size(1)}].push_back(i);
    }
    for (const auto& [shape, members] : own) {
      std::vector<at::Tensor> ahead;
      for (const size_t i : members)
        ahead.push_back(matrices[i].grad.lerp(matrices[i].momentum, momentum));
      const auto made = orthogonalize(at::stack(ahead));
      for (size_t k = 0; k < members.size(); ++k)
        slots[members[k] - begin].copy_(made[static_cast<int64_t>(k)]);
    }
    if (share.size > 1) share.sum(updates);
    for (size_t i = begin; i < end; ++i) {
      const auto& m = matrices[i];
      const auto longer = static_cast<double>(std::max(m.value.size(0), m.value.size(1)));
      m.value.mul_(1 - m.lr * m.weight_decay);
      m.value.add_(slots[i - begin], -m.lr * 0.2 * std::sqrt(longer));
    }
  }
}

}  // namespace finer
