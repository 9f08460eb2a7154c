#include "finer/model/sampling.h"

#include "finer/core/rng.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace finer {

int64_t choose_token(std::span<const float> logits_V, const GeneratePrompt& prompt, int64_t index) {
  const auto best = std::max_element(logits_V.begin(), logits_V.end());
  if (prompt.temperature <= 0) return best - logits_V.begin();

  // weights relative to the greatest; those that cannot matter in double are left out at once
  std::vector<std::pair<double, int64_t>> weights;
  double total = 0;
  for (size_t v = 0; v < logits_V.size(); ++v) {
    const double weight = std::exp((static_cast<double>(logits_V[v]) - static_cast<double>(*best)) /
                                   prompt.temperature);
    if (weight < 1e-30) continue;
    total += weight;
    weights.emplace_back(weight, static_cast<int64_t>(v));
  }
  std::sort(weights.begin(), weights.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
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
