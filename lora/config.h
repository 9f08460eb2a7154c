#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace finer::lora {

/// Source: https://arxiv.org/abs/2106.09685; rank stabilisation: https://arxiv.org/abs/2312.03732;
/// names as in PEFT.
struct LoraConfig {
  int64_t rank = 128;
  double alpha = 256;  // updates are scaled by alpha / rank (rsLoRA: alpha / sqrt(rank))
  double dropout = 0.05;
  bool rslora = false;
  std::vector<std::string> targets = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                      "gate_proj", "up_proj", "down_proj"};
  std::map<std::string, int64_t> rank_pattern;  // pattern -> rank
  std::map<std::string, double> alpha_pattern;  // pattern -> alpha
  std::string init_from;                        // directory of a PEFT adapter to start from
};

}  // namespace finer::lora
