#include "finer/model/sampling.h"

#include "finer/core/rng.h"
#include "finer/nn/cpu_rows.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace finer {

namespace {

FINER_CPU_ROWS float greatest_of(const float* values, int64_t count) {
  float greatest = values[0];
  for (int64_t i = 1; i < count; ++i) greatest = values[i] > greatest ? values[i] : greatest;
  return greatest;
}

}  // namespace

int64_t choose_token(std::span<const float> logits_V, const GeneratePrompt& prompt, int64_t index) {
  const float best = greatest_of(logits_V.data(), static_cast<int64_t>(logits_V.size()));
  if (prompt.temperature <= 0) {
    const auto found = std::find(logits_V.begin(), logits_V.end(), best);
    return found == logits_V.end() ? 0 : found - logits_V.begin();  // no end but of NaNs
  }

  // weights relative to the greatest; those that cannot matter in double are left out at once
  std::vector<std::pair<double, int64_t>> weights;
  double total = 0;
  for (size_t v = 0; v < logits_V.size(); ++v) {
    const double weight = std::exp((static_cast<double>(logits_V[v]) - static_cast<double>(best)) /
                                   prompt.temperature);
    if (weight < 1e-30) continue;
    total += weight;
    weights.emplace_back(weight, static_cast<int64_t>(v));
  }
  std::sort(weights.begin(), weights.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  if (weights.empty()) return 0;  // NaNs
  double kept = 0;
  size_t count = 0;
  while (count < weights.size() && (count == 0 || kept < prompt.top_p * total)) {
    kept += weights[count++].first;
  }
  Rng rng(mix_seed(prompt.seed, static_cast<uint64_t>(index)));
  double left = rng.uniform() * kept;
  for (size_t i = 0; i < count; ++i) {
    left -= weights[i].first;
    if (left < 0) return weights[i].second;
  }
  return weights[count - 1].second;
}

}  // namespace finer
