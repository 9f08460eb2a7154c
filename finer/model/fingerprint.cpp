#include "finer/model/fingerprint.h"

#include "finer/core/rng.h"

#include <ATen/ops/cat.h>

#include <algorithm>
#include <vector>

namespace finer {

namespace {

// Up to 16 values spread evenly over the weight, as bfloat16.
at::Tensor few_values(const at::Tensor& weight) {
  const auto values = weight.detach().reshape({-1});
  const int64_t stride = std::max<int64_t>(1, values.size(0) / 16);
  return values.slice(0, 0, std::min(values.size(0), 16 * stride), stride).to(at::kBFloat16);
}

// The hash of the weights whose names begin with `prefix`; none: empty.
std::string fingerprint(const Llava& model, const std::string& prefix) {
  uint64_t hash = hash_bytes(prefix);
  std::vector<at::Tensor> values;
  model.visit_weights([&](const std::string& name, const at::Tensor& slot) {
    if (name.rfind(prefix, 0) != 0) return;
    hash = hash_bytes(name, hash);
    for (const int64_t size : slot.sizes()) hash = mix_seed(hash, static_cast<uint64_t>(size));
    values.push_back(few_values(slot));
  });
  if (values.empty()) return "";
  const auto drawn = at::cat(values).cpu();
  return hash_text(
      hash_bytes({static_cast<const char*>(drawn.const_data_ptr()), drawn.nbytes()}, hash));
}

}  // namespace

std::map<std::string, std::string> base_fingerprints(const Llava& model) {
  std::map<std::string, std::string> out = {{"language", fingerprint(model, "language_model.")}};
  if (model.config().has_vision) out["vision"] = fingerprint(model, "vision_tower.");
  return out;
}

}  // namespace finer
