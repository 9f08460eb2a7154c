#include "finer/train/muon.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace finer {

namespace {

// The rank that makes each update: dearest first, each to the rank that has least to do.
std::vector<int> deal(const std::vector<MuonMatrix>& matrices, size_t begin, size_t end,
                      int ranks) {
  std::vector<size_t> order(end - begin);
  std::iota(order.begin(), order.end(), begin);
  const auto cost = [&](size_t i) {
    return orthogonalize_flops(matrices[i].value.size(0), matrices[i].value.size(1), 1);
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

double orthogonalize_flops(int64_t rows, int64_t columns, int64_t num_steps) {
  const auto a = static_cast<double>(std::min(rows, columns));
  const auto b = static_cast<double>(std::max(rows, columns));
  return static_cast<double>(num_steps) * (4 * a * a * b + 2 * a * a * a);
}

at::Tensor orthogonalize(const at::Tensor& x_NAB, int64_t num_steps) {
  const bool is_tall = x_NAB.size(1) > x_NAB.size(2);
  auto x = is_tall ? x_NAB.transpose(1, 2) : x_NAB;
  x = x.to(x.is_cuda() ? at::kBFloat16 : at::kFloat).contiguous();
  x = x / at::linalg_vector_norm(x, 2, at::IntArrayRef{1, 2}, true).clamp_min(1e-7);
  for (int64_t k = 0; k < num_steps; ++k) {
    const auto gram = at::bmm(x, x.transpose(1, 2));
    x = at::baddbmm(x, at::baddbmm(gram, gram, gram, -4.7750, 2.0315), x, 3.4445, 1.0);
  }
  return is_tall ? x.transpose(1, 2) : x;
}

void muon_step(const std::vector<MuonMatrix>& matrices, double momentum, int64_t num_steps,
               const UpdateShare& share, int64_t bucket_values) {
  for (const auto& m : matrices) m.momentum.lerp_(m.grad, 1 - momentum);
  size_t end = 0;
  for (size_t begin = 0; begin < matrices.size(); begin = end) {
    int64_t values = 0;
    for (end = begin; end < matrices.size(); ++end) {
      const int64_t more = matrices[end].value.numel();
      if (end > begin && values + more > bucket_values * share.size) break;
      values += more;
    }
    // Each rank's updates lie together, in places of equal length.
    const auto ranks = deal(matrices, begin, end, share.size);
    std::vector<int64_t> filled(static_cast<size_t>(share.size), 0), places;
    for (size_t i = begin; i < end; ++i) {
      auto& used = filled[static_cast<size_t>(ranks[i - begin])];
      places.push_back(used);
      used += matrices[i].value.numel();
    }
    const int64_t length = *std::max_element(filled.begin(), filled.end());
    const auto options = matrices[begin].value.options();
    const auto own = at::zeros({length}, options);
    const auto slot = [&](const at::Tensor& updates, size_t i) {
      const auto& value = matrices[i].value;
      return updates.narrow(0, places[i - begin], value.numel()).view_as(value);
    };
    std::map<std::pair<int64_t, int64_t>, std::vector<size_t>> shapes;  // one batch each
    for (size_t i = begin; i < end; ++i) {
      const auto& value = matrices[i].value;
      if (ranks[i - begin] == share.rank) shapes[{value.size(0), value.size(1)}].push_back(i);
    }
    for (const auto& [shape, members] : shapes) {
      std::vector<at::Tensor> ahead;
      for (const size_t i : members)
        ahead.push_back(matrices[i].grad.lerp(matrices[i].momentum, momentum));
      const auto made = orthogonalize(at::stack(ahead), num_steps);
      for (size_t k = 0; k < members.size(); ++k)
        slot(own, members[k]).copy_(made[static_cast<int64_t>(k)]);
    }
    auto all = own.unsqueeze(0);
    if (share.size > 1) {
      all = at::empty({share.size, length}, options);
      share.gather(own, all.view({-1}));
    }
    for (size_t i = begin; i < end; ++i) {
      const auto& m = matrices[i];
      const auto longer = static_cast<double>(std::max(m.value.size(0), m.value.size(1)));
      m.value.mul_(1 - m.lr * m.weight_decay);
      m.value.add_(slot(all[ranks[i - begin]], i), -m.lr * 0.2 * std::sqrt(longer));
    }
  }
}

}  // namespace finer
