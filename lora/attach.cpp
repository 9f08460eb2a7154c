#include "lora/attach.h"

#include "finer/core/error.h"
#include "finer/core/near_miss.h"
#include "finer/core/rng.h"

#include <ATen/CPUGeneratorImpl.h>

#include <cmath>
#include <set>

namespace finer::lora {

namespace {

bool glob(const char* pattern, const char* text) {
  if (*pattern == '\0') return *text == '\0';
  if (pattern[0] == '*' && pattern[1] == '*') {
    const char* rest = pattern + 2;
    for (const char* t = text;; ++t) {
      if (glob(rest, t)) return true;
      if (*t == '\0') break;
    }
    return pattern[2] == '.' && glob(pattern + 3, text);  // "a.**.b" also matches "a.b"
  }
  if (*pattern == '*') {
    for (const char* t = text;; ++t) {
      if (glob(pattern + 1, t)) return true;
      if (*t == '\0' || *t == '.') return false;
    }
  }
  return *pattern == *text && glob(pattern + 1, text + 1);
}

bool is_plain_name(const std::string& target) {
  return target.find_first_of(".*") == std::string::npos;
}

std::string last_name(const std::string& path) { return path.substr(path.rfind('.') + 1); }

template <class Value>
Value value_for(const std::string& path, const std::map<std::string, Value>& patterns,
                Value otherwise) {
  for (const auto& [pattern, value] : patterns) {
    if (matches_path(pattern, path)) return value;
  }
  return otherwise;
}

struct Candidate {
  Linear* linear;
  bool is_vision;
};

std::vector<Candidate> candidates(Llava& model) {
  std::vector<Candidate> out;
  for (auto* linear : model.language().linears()) out.push_back({linear, false});
  if (auto* vision = model.vision()) {
    for (auto* linear : vision->linears()) out.push_back({linear, true});
  }
  return out;
}

}  // namespace

bool matches_path(const std::string& pattern, const std::string& path) {
  if (is_plain_name(pattern)) return last_name(path) == pattern;
  return glob(pattern.c_str(), path.c_str());
}

void attach(Llava& model, const LoraConfig& config, const AttachParts& parts, uint64_t seed) {
  std::set<std::string> names, paths;
  std::vector<bool> target_hits(config.targets.size(), false);
  std::set<std::string> pattern_hits;
  bool hit_language = false, hit_vision = false;

  for (const auto& [linear, is_vision] : candidates(model)) {
    const bool may = is_vision ? parts.vision : parts.language;
    auto adapter = std::make_shared<Adapter>();
    int64_t rows = 0;
    for (size_t p = 0; p < linear->parts().size(); ++p) {
      const auto& path = linear->parts()[p].path;
      bool is_hit = false;
      for (size_t i = 0; i < config.targets.size(); ++i) {
        if (!matches_path(config.targets[i], path)) continue;
        if (!may) {
          if (is_plain_name(config.targets[i])) continue;
          throw RecipeError("lora.targets[" + std::to_string(i) + "]: \"" + config.targets[i] +
                            "\" matches " + path + ", but train." +
                            (is_vision ? "vision" : "language") + " is not lora");
        }
        target_hits[i] = true;
        is_hit = true;
      }
      if (may) {
        names.insert(last_name(path));
        paths.insert(path);
      }
      if (!is_hit) continue;
      (is_vision ? hit_vision : hit_language) = true;
      for (const auto& [pattern, rank] : config.rank_pattern) {
        if (matches_path(pattern, path)) pattern_hits.insert("rank_pattern" + pattern);
      }
      for (const auto& [pattern, alpha] : config.alpha_pattern) {
        if (matches_path(pattern, path)) pattern_hits.insert("alpha_pattern" + pattern);
      }
      const int64_t rank = value_for(path, config.rank_pattern, config.rank);
      const double alpha = value_for(path, config.alpha_pattern, config.alpha);
      const auto r = static_cast<double>(rank);
      adapter->parts.push_back(
          {.part = p, .rank = rank, .scale = alpha / (config.rslora ? std::sqrt(r) : r)});
      rows += rank;
    }
    if (adapter->parts.empty()) continue;

    const auto options = model.options().dtype(at::kFloat);
    const int64_t in = linear->in_features();
    adapter->dropout = config.dropout;
    adapter->A = at::empty({rows, in}, options);
    int64_t row = 0;
    for (auto& part : adapter->parts) {
      const auto& path = linear->parts()[part.part].path;
      adapter->id += path + ";";
      part.B = at::zeros({linear->parts()[part.part].out, part.rank}, options).requires_grad_(true);
      if (!options.device().is_meta()) {
        auto generator =
            at::make_generator<at::CPUGeneratorImpl>(mix_seed(seed, hash_bytes(path + ".lora_A")));
        const double bound = 1.0 / std::sqrt(static_cast<double>(in));
        adapter->A.narrow(0, row, part.rank)
            .copy_(at::empty({part.rank, in}).uniform_(-bound, bound, generator));
      }
      row += part.rank;
    }
    adapter->A.requires_grad_(true);
    linear->adapter() = std::move(adapter);
  }

  const std::vector<std::string> name_list(names.begin(), names.end()),
      path_list(paths.begin(), paths.end());
  const auto fail = [&](const std::string& where, const std::string& pattern) {
    const bool plain = is_plain_name(pattern);
    const auto hint = plain ? did_you_mean(pattern, name_list)
                            : std::string("; paths look like \"" +
                                          (path_list.empty() ? "" : path_list.front()) + "\"");
    throw RecipeError(where + ": \"" + pattern + "\" matches no layer" + hint);
  };
  for (size_t i = 0; i < config.targets.size(); ++i) {
    if (!target_hits[i]) fail("lora.targets[" + std::to_string(i) + "]", config.targets[i]);
  }
  for (const auto& [pattern, rank] : config.rank_pattern) {
    if (!pattern_hits.count("rank_pattern" + pattern)) fail("lora.rank_pattern", pattern);
  }
  for (const auto& [pattern, alpha] : config.alpha_pattern) {
    if (!pattern_hits.count("alpha_pattern" + pattern)) fail("lora.alpha_pattern", pattern);
  }
  if (parts.language && !hit_language)
    throw RecipeError("lora.targets: none is a layer of the language model");
  if (parts.vision && !hit_vision) {
    throw RecipeError(
        "lora.targets: none is a layer of the vision tower; its layers are q_proj, k_proj, v_proj, "
        "out_proj, fc1, fc2");
  }
}

std::vector<Linear*> adapted_linears(Llava& model) {
  std::vector<Linear*> out;
  for (const auto& [linear, is_vision] : candidates(model)) {
    if (linear->adapter()) out.push_back(linear);
  }
  return out;
}

int64_t adapter_parameters(Llava& model) {
  int64_t count = 0;
  for (const auto* linear : adapted_linears(model)) {
    count += linear->adapter()->A.numel();
    for (const auto& part : linear->adapter()->parts) count += part.B.numel();
  }
  return count;
}

}  // namespace finer::lora
