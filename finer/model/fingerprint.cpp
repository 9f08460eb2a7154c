#include "finer/model/fingerprint.h"

#include <ATen/ops/cat.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <vector>

namespace finer {

namespace {

constexpr int64_t kValues = 4;  // of a weight
constexpr size_t kDigits = 4;   // of a value
constexpr int kSmall = 0x3900;  // 2^-13 in bfloat16: about here float16 begins to lose digits

// Up to four values spread evenly over the weight.
at::Tensor few_values(const at::Tensor& weight) {
  const auto values = weight.detach().reshape({-1});
  const int64_t stride = std::max<int64_t>(1, values.size(0) / kValues);
  return values.slice(0, 0, std::min(values.size(0), kValues * stride), stride).to(at::kBFloat16);
}

std::string sample_of(const Llava& model, const std::string& prefix) {
  std::vector<at::Tensor> values;
  model.visit_weights([&](const std::string& name, const at::Tensor& slot) {
    const bool is_padded =
        name == "language_model.embed_tokens.weight" || name == "language_model.lm_head.weight";
    if (name.rfind(prefix, 0) == 0 && !is_padded) values.push_back(few_values(slot));
  });
  std::string text;
  if (values.empty()) return text;
  const auto drawn = at::cat(values).cpu();
  const auto* bits = static_cast<const uint16_t*>(drawn.const_data_ptr());
  for (int64_t i = 0; i < drawn.numel(); ++i) {
    constexpr const char* kHex = "0123456789abcdef";
    for (int shift = 12; shift >= 0; shift -= 4) text += kHex[bits[i] >> shift & 15];
  }
  return text;
}

// The values in order of size, so that neighbours are neighbours; nothing where it is no sample.
std::optional<std::vector<int>> steps_of(const std::string& sample) {
  std::vector<int> out;
  for (size_t at = 0; at + kDigits <= sample.size(); at += kDigits) {
    int bits = 0;
    const char* end = sample.data() + at + kDigits;
    if (std::from_chars(sample.data() + at, end, bits, 16).ptr != end) return std::nullopt;
    out.push_back((bits & 0x8000) != 0 ? -(bits & 0x7fff) : bits);
  }
  return out;
}

}  // namespace

std::map<std::string, std::string> base_samples(const Llava& model) {
  std::map<std::string, std::string> out = {{"language", sample_of(model, "language_model.")}};
  if (model.config().has_vision) out["vision"] = sample_of(model, "vision_tower.");
  return out;
}

bool is_same_base(const std::string& sample, const std::string& other) {
  if (sample.size() != other.size()) return false;
  const auto a = steps_of(sample), b = steps_of(other);
  if (!a || !b) return false;
  size_t moved = 0;
  for (size_t i = 0; i < a->size(); ++i) {
    if (std::max(std::abs((*a)[i]), std::abs((*b)[i])) <= kSmall) continue;
    const int apart = std::abs((*a)[i] - (*b)[i]);
    if (apart > 1) return false;
    moved += static_cast<size_t>(apart);
  }
  return moved * 8 <= a->size();
}

}  // namespace finer
