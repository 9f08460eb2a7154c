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

// Matrices [begin, end) whose updates exist at the same time, and where: each rank's lie together,
// in places of equal length for all ranks.
struct Bucket {
  size_t begin = 0, end = 0;
  std::vector<int> ranks;       // of each matrix, the rank that makes its update
  std::vector<int64_t> places;  // of each matrix, where its update begins among that rank's
  int64_t length = 0;

  at::Tensor slot(const at::Tensor& updates, const MuonMatrix& matrix, size_t i) const {
    return updates.narrow(0, places[i - begin], matrix.value.numel()).view_as(matrix.value);
  }
};

// The next bucket from `begin` on: at least one matrix, and at most bucket_values a rank if dealt
// out evenly.
Bucket next_bucket(const std::vector<MuonMatrix>& matrices, size_t begin, int ranks,
                   int64_t bucket_values) {
  Bucket bucket{.begin = begin, .end = begin};
  int64_t values = 0;
  for (; bucket.end < matrices.size(); ++bucket.end) {
    const int64_t more = matrices[bucket.end].value.numel();
    if (bucket.end > begin && values + more > bucket_values * ranks) break;
    values += more;
  }
  bucket.ranks = deal(matrices, begin, bucket.end, ranks);
  std::vector<int64_t> filled(static_cast<size_t>(ranks), 0);
  for (size_t i = begin; i < bucket.end; ++i) {
    auto& used = filled[static_cast<size_t>(bucket.ranks[i - begin])];
    bucket.places.push_back(used);
    used += matrices[i].value.numel();
  }
  bucket.length = *std::max_element(filled.begin(), filled.end());
  return bucket;
}

// This rank's updates of the bucket, [length]; matrices of one shape are orthogonalized together.
at::Tensor own_updates(const std::vector<MuonMatrix>& matrices, const Bucket& bucket, int rank,
                       double momentum, int64_t num_steps) {
  std::map<std::pair<int64_t, int64_t>, std::vector<size_t>> shapes;
  for (size_t i = bucket.begin; i < bucket.end; ++i) {
    const auto& value = matrices[i].value;
    if (bucket.ranks[i - bucket.begin] == rank) shapes[{value.size(0), value.size(1)}].push_back(i);
  }
  auto own = at::zeros({bucket.length}, matrices[bucket.begin].value.options());
  for (const auto& [shape, members] : shapes) {
    std::vector<at::Tensor> ahead;
    for (const size_t i : members)
      ahead.push_back(matrices[i].grad.lerp(matrices[i].momentum, momentum));
    const auto made = orthogonalize(at::stack(ahead), num_steps);
    for (size_t k = 0; k < members.size(); ++k)
      bucket.slot(own, matrices[members[k]], members[k]).copy_(made[static_cast<int64_t>(k)]);
  }
  return own;
}

void apply_update(const MuonMatrix& matrix, const at::Tensor& update) {
  const auto longer = static_cast<double>(std::max(matrix.value.size(0), matrix.value.size(1)));
  matrix.value.mul_(1 - matrix.lr * matrix.weight_decay);
  matrix.value.add_(update, -matrix.lr * 0.2 * std::sqrt(longer));
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
  for (size_t begin = 0; begin < matrices.size();) {
    const auto bucket = next_bucket(matrices, begin, share.size, bucket_values);
    const auto own = own_updates(matrices, bucket, share.rank, momentum, num_steps);
    auto all = own.unsqueeze(0);
    if (share.size > 1) {
      all = at::empty({share.size, bucket.length}, own.options());
      share.gather(own, all.view({-1}));
    }
    for (size_t i = begin; i < bucket.end; ++i)
      apply_update(matrices[i], bucket.slot(all[bucket.ranks[i - begin]], matrices[i], i));
    begin = bucket.end;
  }
}

}  // namespace finer
